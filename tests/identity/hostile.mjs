// A provider that lies, to attack us with: its token endpoint answers a code `<lie>.<nonce>` with an ID token that has
// that lie in it and is in order otherwise. Prints its port. Ends with its standard input.
import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';

const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
const [ours, others] = [pair(), pair()];
const part = (what) => Buffer.from(JSON.stringify(what)).toString('base64url');

let issuer;
let kid = 'first';

function token(lie, nonce) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: issuer, aud: 'counterfoil', sub: 'ada', nonce, iat: now, exp: now + 300, email: 'ada@example.com' };
  claims.at_hash = createHash('sha256').update('access').digest().subarray(0, 16).toString('base64url');
  const header = { alg: 'RS256', kid };
  const lies = {
    none: () => { header.alg = 'none'; },
    hs256: () => { header.alg = 'HS256'; },
    public_key_as_secret: () => { header.alg = 'HS256'; },
    issuer: () => { claims.iss = 'https://accounts.example'; },
    audience: () => { claims.aud = 'another'; },
    audiences: () => { claims.aud = ['counterfoil', 'another']; },
    party: () => { claims.azp = 'another'; },
    nonce: () => { claims.nonce = 'another'; },
    no_nonce: () => { delete claims.nonce; },
    expired: () => { claims.exp = now - 1; },
    future: () => { claims.iat = now + 600; claims.exp = now + 900; },
    access_token: () => { claims.at_hash = createHash('sha256').update('x').digest().subarray(0, 16).toString('base64url'); },
    subject: () => { claims.sub = ''; },
    long_subject: () => { claims.sub = 'x'.repeat(256); },
    unknown_key: () => { header.kid = 'unknown'; },
    new_key: () => { header.kid = kid = 'second'; },
  };
  lies[lie]?.();
  const text = `${part(header)}.${part(claims)}`;
  const mac = (key) => createHmac('sha256', key).update(text).digest('base64url');
  if (lie === 'none') return `${text}.`;
  if (lie === 'hs256') return `${text}.${mac('a secret')}`;
  if (lie === 'public_key_as_secret') return `${text}.${mac(ours.publicKey.export({ type: 'spki', format: 'pem' }))}`;
  const key = lie === 'other_key' ? others.privateKey : ours.privateKey;
  const signature = sign('sha256', Buffer.from(text), key).toString('base64url');
  if (lie === 'signature') return `${text}.${signature.slice(0, -8)}AAAAAAAA`;
  if (lie === 'changed') return `${part(header)}.${part({ ...claims, sub: 'root' })}.${signature}`;
  return `${text}.${signature}`;
}

const answers = {
  '/.well-known/openid-configuration': () => ({
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    jwks_uri: `${issuer}/keys`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['RS256', 'HS256', 'none'],
  }),
  '/keys': () => ({ keys: [{ ...ours.publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }] }),
  '/token': (body) => {
    const [lie, nonce] = new URLSearchParams(body).get('code').split('.');
    const answer = { access_token: 'access', token_type: 'Bearer', expires_in: 300 };
    return lie === 'no_token' ? answer : { ...answer, id_token: token(lie, nonce) };
  },
};

const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => { body += chunk; }).on('end', () => {
    if (request.url === '/token' && body.includes('code=redirect')) {
      response.writeHead(307, { location: `${issuer}/token` }).end();
    } else if (request.url === '/token' && body.includes('code=endless')) {
      response.writeHead(200, { 'content-type': 'application/json' });
      const more = () => { while (response.write('x'.repeat(65536))); };
      response.on('drain', more).on('error', () => {});
      more();
    } else {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answers[request.url](body)));
    }
  });
});
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  console.log(server.address().port);
});
process.stdin.on('end', () => process.exit(0)).resume();
