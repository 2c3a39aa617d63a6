"""Takes the place of a stopped database server, and keeps all that it is told in /root/heard."""
import socket, ssl, struct, sys

protocol, offer = sys.argv[1], sys.argv[2]  # postgres or mysql, tls or none


def packet(number, content):
    return struct.pack("<I", len(content) | number << 24) + content


GREETING = packet(0, (
    b"\x0a5.5.5-10.11.0-MariaDB\0" + struct.pack("<I", 1) + b"s" * 8 + b"\0"
    + struct.pack("<HBHH", 0xFFFE if offer == "tls" else 0xF7FE, 45, 2, 0x81BF)
    + b"\x15" + b"\0" * 10 + b"s" * 12 + b"\0mysql_native_password\0"
))
# Each asks for the password itself.
QUESTION = {"postgres": b"R\0\0\0\x08\0\0\0\x03", "mysql": packet(2, b"\xfemysql_clear_password\0")}[protocol]


def keep(data):
    with open("/root/heard", "ab") as file:
        file.write(data)


def hear(client, most=4096):
    keep(client.recv(most))


def serve(client):
    if protocol == "mysql":
        client.sendall(GREETING)
    hear(client, {"postgres": 8, "mysql": 36}[protocol])  # the request for TLS, without what follows it
    if protocol == "postgres":
        client.sendall(b"S" if offer == "tls" else b"N")
    if offer == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("/root/tls/foreign.pem", "/root/tls/foreign.key")
        client = context.wrap_socket(client, server_side=True)
    elif protocol == "postgres":
        hear(client)
    client.sendall(QUESTION)
    hear(client)


listener = socket.create_server(("192.0.2.30", {"postgres": 5432, "mysql": 3306}[protocol]))
while True:
    client, _ = listener.accept()
    client.settimeout(2)
    keep(b"a client\n")
    try:
        serve(client)
    except OSError:
        pass
    client.close()
