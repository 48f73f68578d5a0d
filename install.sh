#!/usr/bin/env bash
# Creates the virtual environment and installs the project into it.
# Without a GPU it takes a CPU build of torch: from where pip is set up to look, then from PyTorch's own
# index, and only then whatever the default index offers.
set -euo pipefail
cd "$(dirname "$0")"

PYTHON="${PYTHON:-python3}"
VENV="${VENV:-.venv}"
TORCH="torch==2.13.0"

"$PYTHON" - <<'EOF' || exit 1
import sys
if sys.version_info < (3, 11):
    sys.exit(f"install.sh: expected Python 3.11 or newer; got {sys.version.split()[0]}; set PYTHON=/path/to/python3.11")
EOF

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
PIP=("$VENV/bin/python" -m pip install --quiet --disable-pip-version-check)

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; }
has_torch() { "$VENV/bin/python" -c 'import torch' 2>/dev/null; }

if ! has_torch; then
    if has_gpu; then
        echo "installing $TORCH (a GPU is here)"
        "${PIP[@]}" "$TORCH"
    else
        echo "installing $TORCH (no GPU: a CPU build)"
        "${PIP[@]}" "$TORCH+cpu" 2>/dev/null ||
            "${PIP[@]}" --index-url https://download.pytorch.org/whl/cpu "$TORCH" 2>/dev/null ||
            { echo "no CPU build is offered here; taking the default one"; "${PIP[@]}" "$TORCH"; }
    fi
fi
echo "installing coldbrew and what it needs"
"${PIP[@]}" --constraint constraints.txt --editable '.[test]'
"$VENV/bin/python" -c 'import torch; print("torch", torch.__version__)'
