#!/bin/sh
# The mesh with nothing but curl.
#
#   npm install qmesh
#   npx qmesh-node up              (in another terminal)
#   sh curl.sh
set -eu
url=${QMESH_URL:-http://127.0.0.1:11500}

echo "# Models that known workers hold"
curl -sS --fail-with-body "$url/v1/models"

printf '\n\n# A chat\n'
answer=$(
  curl -sS --fail-with-body "$url/v1/chat/completions" -H 'content-type: application/json' -d '{
    "model": "auto",
    "messages": [{ "role": "user", "content": "What is QMesh?" }]
  }'
)
echo "$answer"

printf '\n# The same as it is written; lines with ":" say what is known beside it\n'
curl -sSN --fail-with-body "$url/v1/chat/completions" -H 'content-type: application/json' -d '{
  "model": "auto",
  "stream": true,
  "messages": [{ "role": "user", "content": "Who are you?" }]
}'

echo "# Why the chat went where it went"
id=$(echo "$answer" | sed 's/^{"id":"\([^"]*\)".*/\1/')
curl -sS --fail-with-body "$url/v1/mesh/requests/$id/why"
echo
