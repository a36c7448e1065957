#!/usr/bin/env bash
# Writes deploy/rendered/: what `kubectl kustomize` makes of every overlay, for whoever applies plain files.
# A test compares them where there is a kubectl, and relies on them where there is none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../deploy"
for overlay in overlays/*/; do
  name=$(basename "$overlay")
  { echo "# Rendered from deploy/overlays/$name by scripts/render-deploy.sh; do not edit."
    kubectl kustomize "$overlay"; } >"rendered/$name.yaml"
done
