// An OpenID provider: `oidc-provider` of npm. Prints its port. Whoever signs in as `name` is `name`. Ends with its
// standard input.
//
// Arguments: the package's module, our callback's address.
import { createServer } from 'node:http';

// It warns that this is no configuration for anybody else.
console.info = console.warn = () => {};
const [module, callback] = process.argv.slice(2);
const { default: Provider } = await import(module);

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const client = { redirect_uris: [callback], grant_types: ['authorization_code'], response_types: ['code'] };
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      { client_id: 'counterfoil', client_secret: 'a secret / of ours', ...client },
      { client_id: 'public', token_endpoint_auth_method: 'none', ...client },
    ],
    pkce: { methods: ['S256'], required: () => true },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    cookies: { keys: ['a test'] },
    ttl: { IdToken: 120, AuthorizationCode: 60, AccessToken: 120, Grant: 600, Interaction: 600, Session: 600 },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id, name: `Name of ${id}`, email: `${id}@example.com`, email_verified: id !== 'unverified',
      }),
    }),
  });
  server.on('request', provider.callback());
  console.log(port);
});
process.stdin.on('end', () => process.exit(0)).resume();
