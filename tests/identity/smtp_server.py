# A mail server, aiosmtpd: prints its port, then each mail as a line of JSON. Ends with its standard input.
#
# Arguments: mode (plain, starttls, smtps, defer), certificate, key.
import asyncio
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

mode = sys.argv[1]
# It complains about clients that leave, and about what is wanted here.
logging.disable()
warnings.simplefilter("ignore")


def say(what):
    print(json.dumps(what), flush=True)


class Handler:
    deferred = 0

    async def handle_DATA(self, server, session, envelope):
        if mode == "defer" and self.deferred < 2:
            self.deferred += 1
            return "451 4.7.1 Greylisted, try again"
        say({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode(),
            "encrypted": session.ssl is not None or mode == "smtps",
            "login": session.auth_data,
        })
        return "250 Taken"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return f"550 5.1.1 <{address}>: Nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    if isinstance(data, LoginPassword) and data == LoginPassword(b"ledger", b"p@ss:word"):
        return AuthResult(success=True, auth_data="ledger")
    return AuthResult(success=False, handled=False)


async def main():
    context = None
    if mode in ("starttls", "smtps"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
    handler = Handler()

    def smtp():
        options = {"require_starttls": True, "tls_context": context} if mode == "starttls" else {}
        if mode in ("starttls", "smtps"):
            options |= {"authenticator": authenticate, "auth_required": True}
            options |= {"auth_require_tls": mode == "starttls"}
        return SMTP(handler, loop=asyncio.get_running_loop(), **options)

    server = await asyncio.get_running_loop().create_server(
        smtp, "127.0.0.1", 0, ssl=context if mode == "smtps" else None)
    say(server.sockets[0].getsockname()[1])
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
