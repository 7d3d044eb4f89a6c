// node-oidc-provider as a provider of somebody else, at which people sign in. Whoever is
// named in its form is signed in; the address of "unsure" is not verified there.
import crypto from 'node:crypto'
import http from 'node:http'
import { Provider } from 'oidc-provider'
import { closing, hear, say } from './conversation.js'

const told = await hear()

const { privateKey } = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 })
const provider = new Provider(told.issuer, {
  clients: [
    {
      client_id: 'sekisho',
      client_secret: told.secret,
      redirect_uris: [told.redirect],
      response_types: ['code'],
      grant_types: ['authorization_code'],
    },
  ],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'one' }] },
  cookies: { keys: [crypto.randomBytes(32).toString('hex')], long: { sameSite: 'lax', secure: false } },
  scopes: ['openid', 'profile', 'email'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  findAccount: (_, accountId) => ({
    accountId,
    claims: () => ({
      sub: accountId,
      email: `${accountId}@example.test`,
      email_verified: accountId !== 'unsure',
      name: `${accountId} of elsewhere`,
    }),
  }),
  features: { devInteractions: { enabled: false } },
  pkce: { required: () => true },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: 'sekisho', accountId: ctx.oidc.session.accountId })
    grant.addOIDCScope('openid profile email')
    await grant.save()
    return grant
  },
})

const form =
  '<form id="elsewhere" method="post"><input name="login">' +
  '<button id="in" name="do" value="in">In</button><button id="no" name="do" value="no">No</button></form>'

async function interact(request, response) {
  if (request.method === 'GET') {
    response.setHeader('content-type', 'text/html')
    return response.end(form)
  }
  let body = ''
  for await (const chunk of request) body += chunk
  const values = new URLSearchParams(body)
  const result =
    values.get('do') === 'no' ? { error: 'access_denied' } : { login: { accountId: values.get('login') } }
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
}

const answer = provider.callback()
const server = http.createServer((request, response) => {
  if (request.url === '/favicon.ico') return response.writeHead(204).end()
  if (!request.url.startsWith('/interaction/')) return answer(request, response)
  interact(request, response).catch((error) => {
    response.statusCode = error.status ?? 500
    response.end(String(error.message))
  })
})
server.listen(new URL(told.issuer).port, 'localhost', () => say({ listening: told.issuer }))

process.stdin.on('end', () => {
  closing()
  server.close()
  server.closeAllConnections()
})
