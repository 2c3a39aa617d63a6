"""Makes values of hash schemes with other programs than ours.

Reads a list of secrets in JSON, each in base 64, and prints a list of {scheme, account, value, secret}.
"""

import base64
import json
import subprocess
import sys

import django
from django.conf import settings
from django.contrib.auth.hashers import make_password
from passlib import hash as passlib

settings.configure()
django.setup()

made = []


def made_of(secret, scheme, *values, account="admin"):
    for value in values:
        made.append({"scheme": scheme, "account": account, "value": value, "secret": base64.b64encode(secret).decode()})


def run(*command, stdin=b""):
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True).stdout.decode().strip()


PHP = "echo password_hash(stream_get_contents(STDIN), constant($argv[1]), json_decode($argv[2], true));"


def php(secret, algorithm, **options):
    return run("php", "-r", PHP, "PASSWORD_" + algorithm, json.dumps(options), stdin=secret)


def htpasswd(secret, *options):
    return run("htpasswd", "-n", "-i", *options, "admin", stdin=secret + b"\n").split(":", 1)[1]


def doveadm(secret, scheme, *options):
    return run("doveadm", "pw", "-s", scheme, "-p", secret, *options)


def slappasswd(secret, *options):
    with open("/root/secret", "wb") as file:
        file.write(secret)
    return run("slappasswd", "-T", "/root/secret", *options)


def mosquitto(secret, *options):
    run("mosquitto_passwd", "-c", "-b", *options, "/root/made", "admin", secret)
    with open("/root/made") as file:
        return file.read().strip().split(":", 1)[1]


def postgres(secret, role, encryption):
    sql = f"SET password_encryption = '{encryption}'; CREATE ROLE {role} PASSWORD :'secret'; SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'"
    return run("runuser", "-u", "postgres", "--", "psql", "-qtA", "-v", "ON_ERROR_STOP=1", "-v", b"secret=" + secret, stdin=sql.encode())


def samba(secret, user):
    run("useradd", user)
    run("pdbedit", "-a", "-t", "-u", user, stdin=secret + b"\n" + secret + b"\n")
    return run("pdbedit", "-L", "-w", "-u", user).split(":")[3]


for i, each in enumerate(json.load(sys.stdin)):
    s = base64.b64decode(each)
    bcrypt = php(s, "BCRYPT", cost=5)
    argon2id = php(s, "ARGON2ID", memory_cost=1024, time_cost=2)
    argon2i = php(s, "ARGON2I", memory_cost=1024, time_cost=2)
    made_of(s, "bcrypt", bcrypt, passlib.bcrypt.using(rounds=5).hash(s), htpasswd(s, "-B", "-C", "5"))
    made_of(s, "argon2id", argon2id, argon2i)
    made_of(s, "nextcloud", "3|" + argon2id, "2|" + argon2i, "1|" + bcrypt)
    made_of(s, "home-assistant", base64.b64encode(bcrypt.encode()).decode())
    made_of(s, "scrypt", passlib.scrypt.using(rounds=10).hash(s))
    made_of(s, "passlib-pbkdf2-sha256", passlib.pbkdf2_sha256.using(rounds=2000).hash(s))
    made_of(s, "passlib-pbkdf2-sha512", passlib.pbkdf2_sha512.using(rounds=2000).hash(s))
    made_of(s, "django-pbkdf2-sha256", make_password(s.decode()))
    made_of(s, "htpasswd", *(htpasswd(s, option) for option in ("-m", "-B", "-s", "-2", "-5")))
    made_of(s, "mosquitto", mosquitto(s), mosquitto(s, "-H", "sha512"))
    for scheme in "SSHA", "SSHA256", "SSHA512", "SHA", "SHA256", "SHA512":
        made_of(s, "ldap-ssha512", doveadm(s, scheme))
    made_of(s, "ldap-ssha", slappasswd(s), slappasswd(s, "-h", "{SHA}"))
    made_of(s, "ldap-crypt", slappasswd(s, "-h", "{CRYPT}", "-c", "$6$%.16s"))
    for scheme in "SHA512-CRYPT", "SHA256-CRYPT", "MD5-CRYPT", "BLF-CRYPT":
        made_of(s, "ldap-crypt", doveadm(s, scheme))
    for encryption in "scram-sha-256", "md5":
        role = encryption[0] + str(i)
        made_of(s, "scram-sha-256", postgres(s, role, encryption), account=role)
    made_of(s, "mysql-native", run("mariadb", "-Ne", f"SELECT PASSWORD(x'{s.hex()}')"))
    made_of(s, "nt", samba(s, f"made{i}"))

print(json.dumps(made))
