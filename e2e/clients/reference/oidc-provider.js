// node-oidc-provider as reference: the group of the clients from npm, declared
// in its terms, under the same paths. Where a choice is its own (what a page looks
// like, who may sign in) it does as Sekisho does; all else is its default.
import crypto from 'node:crypto'
import http from 'node:http'
import { errors, Provider } from 'oidc-provider'
import { closing, hear, say } from '../conversation.js'

const told = await hear()

const identity = 'openid profile email phone address offline_access'
const code = { response_types: ['code'], grant_types: ['authorization_code', 'refresh_token'] }
const machine = { response_types: [], redirect_uris: [], grant_types: ['client_credentials'] }

const clients = [
  {
    ...code,
    client_id: 'market-app.web',
    client_secret: told.secrets.web,
    redirect_uris: [told.redirects.web],
    post_logout_redirect_uris: [told.redirects.bye],
  },
  {
    ...code,
    client_id: 'market-app.posting',
    client_secret: told.secrets.web,
    token_endpoint_auth_method: 'client_secret_post',
    id_token_signed_response_alg: 'ES256',
    redirect_uris: [told.redirects.posting],
    post_logout_redirect_uris: [told.redirects.bye],
  },
  {
    ...code,
    client_id: 'market-app.phone',
    token_endpoint_auth_method: 'none',
    redirect_uris: [told.redirects.phone],
  },
  {
    ...code,
    client_id: 'partner.web',
    client_secret: told.secrets.partner,
    redirect_uris: [told.redirects.partner],
  },
  {
    ...machine,
    client_id: 'pay.backend',
    client_secret: told.secrets.pay,
    token_endpoint_auth_method: 'client_secret_post',
  },
  {
    ...machine,
    client_id: 'market.backend',
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    jwks: { keys: [publicPart(told.marketKey)] },
  },
]

// edges are the scopes of each resource, for those who may call it.
const edges = {
  'market-app': { [told.marketAPI]: 'items.read items.write', [told.payAPI]: 'charge' },
  partner: { [told.marketAPI]: 'items.read' },
  market: { [told.payAPI]: 'charge.report' },
}

function edgesOf(clientId) {
  return edges[clientId.split('.')[0]] ?? {}
}

const provider = new Provider(told.reference, {
  clients,
  clientDefaults: { subject_type: 'pairwise' },
  subjectTypes: ['pairwise'],
  pairwiseIdentifier: (_, accountId, client) =>
    crypto.createHash('sha256').update(`${client.sectorIdentifier} ${accountId}`).digest('hex'),
  jwks: { keys: [signingKey('rsa', { modulusLength: 2048 }, 'RS256'), signingKey('ec', { namedCurve: 'P-256' }, 'ES256')] },
  cookies: { keys: [crypto.randomBytes(32).toString('hex')], long: { sameSite: 'none', secure: false } },
  enableHttpPostMethods: true,
  scopes: identity.split(' '),
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    phone: ['phone_number', 'phone_number_verified'],
    address: ['address'],
    profile: (
      'name family_name given_name middle_name nickname preferred_username profile picture website ' +
      'gender birthdate zoneinfo locale updated_at'
    ).split(' '),
  },
  acrValues: ['aal1'],
  responseTypes: ['code'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  findAccount: (_, accountId) => ({
    accountId,
    claims: () => ({ sub: accountId, email: accountId, email_verified: false, name: 'Hanako' }),
  }),
  features: {
    claimsParameter: { enabled: true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: false },
    pushedAuthorizationRequests: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (_, resource, client) => {
        const scope = edgesOf(client.clientId)[resource]
        if (!scope) throw new errors.InvalidTarget()
        // It introspects and revokes opaque tokens only, so the market has those.
        if (resource === told.marketAPI) return { scope, audience: resource, accessTokenFormat: 'opaque' }
        return { scope, audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
      },
      useGrantedResource: () => true,
    },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        const button = '<button id="logout-confirm" name="logout" value="yes">Sign out</button></form>'
        ctx.body = form.replace('id="op.logoutForm"', 'id="logout-form"').replace('</form>', button)
      },
      postLogoutSuccessSource: (ctx) => {
        ctx.body = '<p id="signed-out">Signed out</p>'
      },
    },
  },
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  pkce: { required: () => true },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  loadExistingGrant: firstPartiesMay,
  renderError: (ctx, out) => {
    ctx.type = 'html'
    ctx.body = `<p id="error-code">${out.error}</p>`
  },
  routes: {
    authorization: '/oauth2/authorize',
    token: '/oauth2/token',
    introspection: '/oauth2/introspect',
    revocation: '/oauth2/revoke',
    userinfo: '/oauth2/userinfo',
    end_session: '/oauth2/logout',
    jwks: '/oauth2/jwks',
  },
})

function publicPart({ d, ...key }) {
  return key
}

function signingKey(type, options, alg) {
  const { privateKey } = crypto.generateKeyPairSync(type, options)
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg }
}

// firstPartiesMay gives clients of the group what they ask for, without a page.
async function firstPartiesMay(ctx) {
  const { client, session, provider, result } = ctx.oidc
  const given = result?.consent?.grantId ?? session.grantIdFor(client.clientId)
  if (given) return provider.Grant.find(given)
  if (client.clientId.startsWith('partner.')) return undefined
  return allow(client.clientId, session.accountId)
}

async function allow(clientId, accountId) {
  const grant = new provider.Grant({ clientId, accountId })
  grant.addOIDCScope(identity)
  grant.addOIDCClaims(['email', 'email_verified', 'name'])
  for (const [resource, scope] of Object.entries(edgesOf(clientId))) grant.addResourceScope(resource, scope)
  await grant.save()
  return grant
}

const forms = {
  login: '<form id="signin-form" method="post"><input name="email"><input name="password"></form>',
  consent: '<form id="consent-form" method="post"><button id="allow" name="decision" value="allow">Allow</button></form>',
}

async function interact(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response)
  if (request.method === 'GET') {
    response.setHeader('content-type', 'text/html')
    return response.end(forms[prompt.name])
  }
  let body = ''
  for await (const chunk of request) body += chunk
  const result =
    prompt.name === 'login'
      ? { login: { accountId: new URLSearchParams(body).get('email') } }
      : { consent: { grantId: (await allow(params.client_id, session.accountId)).jti } }
  return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true })
}

const answer = provider.callback()
const server = http.createServer((request, response) => {
  if (!request.url.startsWith('/interaction/')) return answer(request, response)
  interact(request, response).catch((error) => {
    response.statusCode = error.status ?? 500
    response.setHeader('content-type', 'text/html')
    response.end(`<p id="error-code">${error.error ?? error.message}</p>`)
  })
})

server.listen(Number(new URL(told.reference).port), 'localhost', () => say({ listening: told.reference }))

process.stdin.on('end', () => {
  closing()
  server.close()
  server.closeAllConnections()
})
