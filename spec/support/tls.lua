--- Certificates for specs, made once per process with the openssl command in a temporary folder.
-- Owns that folder. A shell removes it when a pipe from this process closes, which the kernel does however
-- the process ends.
local process = require "spec.support.process"

local tls = {}

local cached

-- $1 is the folder. This text must not contain single quotes, because it is an argument of sh -c. All
-- certificates share a key, because specs only test names, dates and signers. LD_PRELOAD may hold a
-- sanitizer, which is only for the process of the specs.
local MAKE = [[
set -e
unset LD_PRELOAD
cd "$1"
openssl ecparam -name prime256v1 -genkey -noout -out key.pem
openssl ecparam -name prime256v1 -genkey -noout -out ca-key.pem
openssl req -x509 -new -key ca-key.pem -subj "/CN=Spec CA" -days 2 -out ca.pem \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign"
openssl req -x509 -new -key key.pem -subj /CN=localhost -days 2 -out self_signed.pem \
  -addext "subjectAltName=DNS:localhost,IP:127.0.0.1"
sign() { # name, alternative names, dates …
  name=$1 names=$2
  shift 2
  echo "subjectAltName=$names" > "$name.ext"
  openssl req -new -key key.pem -subj "/CN=$name" -out "$name.csr"
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial \
    -extfile "$name.ext" -out "$name.pem" "$@"
}
sign server DNS:localhost,IP:127.0.0.1 -days 2
sign other_name DNS:other.example -days 2
sign expired DNS:localhost,IP:127.0.0.1 -days -1 ||
  sign expired DNS:localhost,IP:127.0.0.1 -not_before 20200101000000Z -not_after 20200102000000Z
openssl ecparam -name prime256v1 -genkey -noout -out client-key.pem
openssl req -new -key client-key.pem -subj /CN=client -out client.csr
openssl x509 -req -in client.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -out client.pem -days 2
cat client.pem client-key.pem > client-both.pem
openssl pkey -in client-key.pem -aes128 -passout pass:spec -out client-encrypted.pem
openssl ecparam -name prime256v1 -genkey -noout -out other-ca-key.pem
openssl req -x509 -new -key other-ca-key.pem -subj "/CN=Other CA" -days 2 -out other-ca.pem
openssl x509 -req -in client.csr -CA other-ca.pem -CAkey other-ca-key.pem -CAcreateserial \
  -out client-unknown.pem -days 2
openssl x509 -req -in server.csr -CA other-ca.pem -CAkey other-ca-key.pem -CAcreateserial \
  -extfile server.ext -out unknown_ca.pem -days 2
printf "%s\n" "[ca]" default_ca=d "[d]" database=index serial=serial new_certs_dir=. default_md=sha256 \
  policy=p "[p]" commonName=supplied > ca.cnf
: > index
echo 01 > serial
openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca-key.pem -in server.csr -extfile server.ext -notext \
  -startdate 20400101000000Z -enddate 20410101000000Z -out not_yet_valid.pem
]]

local function make_folder()
  local folder = process.folder()
  local wait_and_remove = ("exec 3<&0; { cat <&3; rm -rf '%s'; } >/dev/null 2>&1 &"):format(folder)
  return folder, assert(io.popen(wait_and_remove, "w"))
end

--- Makes the certificates, or returns those made before.
-- @treturn table `ca`, the path of a CA certificate, and a table `{ cert = path, key = path }` for each. The
-- CA signed `server` (for localhost and 127.0.0.1), `expired`, `not_yet_valid` and `other_name` (for another
-- host), but not `self_signed` and `unknown_ca`. `client` is a table of paths: `cert` and its `key`, `both`
-- in one file, `unknown` (the same, of another CA), and `encrypted`, the key with a passphrase
function tls.certificates()
  if cached then return cached end
  local folder, pipe = make_folder()
  local status = os.execute(("sh -c '%s' sh '%s' 2>'%s/log'"):format(MAKE, folder, folder))
  if status ~= true and status ~= 0 then
    error("openssl made no certificates:\n" .. process.slurp(folder .. "/log"))
  end
  cached = { ca = folder .. "/ca.pem", pipe = pipe } -- kept, because a collected pipe would close
  for _, name in ipairs{ "server", "expired", "not_yet_valid", "other_name", "self_signed", "unknown_ca" } do
    cached[name] = { cert = folder .. "/" .. name .. ".pem", key = folder .. "/key.pem" }
  end
  cached.client = { cert = folder .. "/client.pem", key = folder .. "/client-key.pem",
    both = folder .. "/client-both.pem", unknown = folder .. "/client-unknown.pem",
    encrypted = folder .. "/client-encrypted.pem" }
  return cached
end

return tls
