# Sourced by the scripts that use a local cluster (crate moorage-local-cluster).
# shellcheck shell=bash

local_cluster() {
  cargo run --quiet -p moorage-local-cluster -- "$@"
}

# The file in which `up --name NAME` describes the cluster.
cluster_file() {
  printf '%s/moorage/%s/cluster.json\n' "${XDG_STATE_HOME:-$HOME/.local/state}" "$1"
}

# load_images NAME: builds the images of operator and server and puts them into the store of the cluster's node.
load_images() {
  local archives archive
  archives=$(cargo run --quiet -p moorage-images -- build)
  while IFS= read -r archive; do
    local_cluster load-image --name "$1" "$archive"
  done <<<"$archives"
  # The name of the image is the same after a change of the code; this makes install-operator notice.
  MOORAGE_OPERATOR_CHECKSUM=$(sha256sum "$(grep '/operator.tar$' <<<"$archives")" | cut -c1-16)
  export MOORAGE_OPERATOR_CHECKSUM
}

# use_cluster FILE: exports what is needed to work with the cluster as its administrator, and to install the operator in it.
use_cluster() {
  local settings
  settings=$(python3 - "$1" <<'PYTHON'
import json, shlex, sys

cluster = json.load(open(sys.argv[1]))
aws = cluster["aws"]
settings = {
    "KUBECONFIG": cluster["kubeconfig"],
    "KUBECTL": cluster["kubectl"],
    "CRANE": cluster["crane"],
    "AWS_ENDPOINT_URL": aws["endpoint"],
    "AWS_REGION": aws["region"],
    "AWS_ACCESS_KEY_ID": aws["operator"]["access_key_id"],
    "AWS_SECRET_ACCESS_KEY": aws["operator"]["secret_access_key"],
    "MOORAGE_CLUSTER_ID": cluster["name"],
    "ACM_CERTIFICATE_ARN": aws["acm_certificate_arn"],
}
for name, value in settings.items():
    print(f"export {name}={shlex.quote(value)}")
PYTHON
  )
  eval "$settings"
}
