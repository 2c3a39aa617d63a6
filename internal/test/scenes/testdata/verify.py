"""Verifies values of hash schemes with other programs than ours.

Reads a list of {scheme, value, secret} in JSON, the secret in base 64, and prints one line for each: True or False.
"""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import tempfile

import django
from django.conf import settings
from django.contrib.auth.hashers import check_password
from passlib import hash as passlib

settings.configure()
django.setup()

PHP = "[$h, $s] = json_decode(stream_get_contents(STDIN)); exit(password_verify(base64_decode($s), $h) ? 0 : 1);"


def php(value, secret):
    question = json.dumps([value, base64.b64encode(secret).decode()])
    return subprocess.run(["php", "-r", PHP], input=question.encode()).returncode == 0


def same(a, b):
    return hmac.compare_digest(a, b)


def django_scrypt(value, secret):
    _, n, salt, r, p, digest = value.split("$")
    made = hashlib.scrypt(secret, salt=salt.encode(), n=int(n), r=int(r), p=int(p), maxmem=1 << 30, dklen=64)
    return same(made, base64.b64decode(digest))


def unpadded(b):
    return base64.b64encode(b).decode().rstrip("=")


def gitea(value, secret):
    algorithm, salt, digest = value.split("\x1f")
    name, *numbers = algorithm.split("$")
    if name == "bcrypt":
        return php(digest, secret)
    salt, digest, numbers = bytes.fromhex(salt), bytes.fromhex(digest), [int(n) for n in numbers]
    if len(digest) != numbers[-1]:
        return False
    if name == "pbkdf2":
        return same(hashlib.pbkdf2_hmac("sha256", secret, salt, numbers[0], numbers[1]), digest)
    if name == "scrypt":
        n, r, p, length = numbers
        return same(hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, maxmem=1 << 30, dklen=length), digest)
    t, m, p, _ = numbers
    return php(f"$argon2id$v=19$m={m},t={t},p={p}${unpadded(salt)}${unpadded(digest)}", secret)


def grafana(value, secret):
    salt, digest = value.split("\x1f")
    return same(hashlib.pbkdf2_hmac("sha256", secret, salt.encode(), 10000, 50).hex().encode(), digest.encode())


def dovecot(value, secret):
    return subprocess.run(["doveadm", "pw", "-t", value, "-p", secret], capture_output=True).returncode == 0


def htpasswd(value, secret):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("anna:" + value + "\n")
        file.flush()
        return subprocess.run(["htpasswd", "-v", "-i", file.name, "anna"], input=secret + b"\n", capture_output=True).returncode == 0


def sha256_hex(secret):
    return hashlib.sha256(secret).hexdigest().encode()


SALTED = {"{SSHA}": passlib.ldap_salted_sha1, "{SSHA5": passlib.ldap_salted_sha512}

VERIFY = {
    "bcrypt": lambda v, s: passlib.bcrypt.verify(s, v) and php(v, s),
    "argon2id": php,
    "scrypt": lambda v, s: passlib.scrypt.verify(s, v),
    "django-pbkdf2-sha256": lambda v, s: check_password(s.decode(), v),
    "django-argon2": lambda v, s: v.startswith("argon2$") and php(v[6:], s),
    "django-bcrypt-sha256": lambda v, s: v.startswith("bcrypt_sha256$$2b$") and php(v[14:], sha256_hex(s)),
    "django-scrypt": django_scrypt,
    "passlib-pbkdf2-sha256": lambda v, s: passlib.pbkdf2_sha256.verify(s, v),
    "passlib-pbkdf2-sha512": lambda v, s: passlib.pbkdf2_sha512.verify(s, v),
    "gitea": gitea,
    "grafana": grafana,
    "nextcloud": lambda v, s: v[:2] in ("1|", "2|", "3|") and php(v[2:], s),
    "home-assistant": lambda v, s: passlib.bcrypt.verify(s, base64.b64decode(v).decode()),
    "htpasswd": htpasswd,
    "ldap-ssha": lambda v, s: dovecot(v, s) and SALTED[v[:6]].verify(s, v),
    "ldap-ssha512": lambda v, s: dovecot(v, s) and SALTED[v[:6]].verify(s, v),
    "ldap-crypt": dovecot,
    "nt": lambda v, s: passlib.nthash.verify(s, v),
    "mysql-native": lambda v, s: passlib.mysql41.verify(s, v),
}

for case in json.load(sys.stdin):
    print(VERIFY[case["scheme"]](case["value"], base64.b64decode(case["secret"])))
