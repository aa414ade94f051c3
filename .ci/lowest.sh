#!/usr/bin/env bash
# The package as users get it, a wheel built from the sdist, with every dependency at its lower bound.
set -euo pipefail
cd "$(dirname "$0")/.."

place=$PWD/.ci/lowest
rm -rf "$place"
python3 -m venv "$place/venv"
python="$place/venv/bin/python"
"$python" .ci/lowest.py build project test dask heic onnx jax > "$place/constraints.txt"
export PIP_CONSTRAINT=$place/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1
"$python" -m pip install hatchling
"$python" -m hatchling build --directory "$place" --target sdist > /dev/null
tar --extract --file "$place"/tinysegrank-*.tar.gz --directory "$place" --one-top-level=sdist --strip-components=1
"$python" -m pip wheel --no-deps --no-build-isolation --wheel-dir "$place" "$place"/tinysegrank-*.tar.gz
"$python" -m pip install "$(echo "$place"/tinysegrank-*.whl)[test,jax]"
"$python" -m pip check

cd "$place/sdist"  # -P: the sources beside the tests are not imported, the wheel is
"$python" -P "$OLDPWD/.ci/smoke.py"
# tests that use the extras; warnings are for the newest versions to give
HYPOTHESIS_PROFILE=quick "$python" -P -m pytest -q -n 2 -p no:cacheprovider -W ignore tests/test_cluster.py tests/fetching \
  tests/test_backend.py tests/nn/test_nn_onnx.py tests/proposals/test_proposals_maxflow.py tutorials/04_softmax.md \
  -k "not killed and not kills and not fast_cut"
