// openid-client as relying party and as resource server.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { closing, hear, refused, step, visit } from './conversation.js'

const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'

const told = await hear()

// discover is what each of the parties does first.
function discover(id, authentication, metadata) {
  return client.discovery(new URL(told.issuer), id, metadata, authentication, {
    execute: [client.allowInsecureRequests],
  })
}

// signIn runs the authorization code flow with PKCE, state and nonce.
async function signIn(config, redirectURI, scope, tokenParameters, wishes = {}) {
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const nonce = client.randomNonce()
  const arrived = await visit(
    client.buildAuthorizationUrl(config, {
      redirect_uri: redirectURI,
      scope,
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...wishes,
    }),
  )
  return client.authorizationCodeGrant(
    config,
    arrived,
    { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true },
    tokenParameters,
  )
}

const web = await step('discovery', async () => {
  const config = await discover('market-app.web', client.ClientSecretBasic(told.secrets.web))
  assert.equal(config.serverMetadata().issuer, told.issuer)
  assert.ok(config.serverMetadata().supportsPKCE())
  client.enableNonRepudiationChecks(config) // verify the ID token's signature too
  return config
})
const pay = await discover('pay.backend', client.ClientSecretPost(told.secrets.pay))
const marketKey = await crypto.subtle.importKey('jwk', told.marketKey, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const market = await discover('market.backend', client.PrivateKeyJwt({ key: marketKey, kid: told.marketKey.kid }))

const first = await step('code with PKCE, confidential client', async () => {
  const tokens = await signIn(web, told.redirects.web, 'openid email charge items.read offline_access', { resource: told.payAPI })
  assert.equal(tokens.token_type, 'bearer')
  assert.equal(tokens.scope, 'charge')
  assert.ok(tokens.expiresIn() > 0)
  assert.ok(tokens.refresh_token)
  assert.equal(tokens.claims().aud, 'market-app.web')
  assert.equal(tokens.claims().email, undefined) // the scope asks userinfo for it
  return tokens
})
const subject = first.claims().sub

await step('refresh, confidential client', async () => {
  const again = await client.refreshTokenGrant(web, first.refresh_token, { resource: told.marketAPI })
  assert.equal(again.scope, 'items.read')
  const next = again.refresh_token ?? first.refresh_token
  assert.equal(next, first.refresh_token)
  await refused('invalid_scope', () => client.refreshTokenGrant(web, next, { scope: 'items.write' }))
})

await step('userinfo', async () => {
  const tokens = await client.refreshTokenGrant(web, first.refresh_token, { resource: told.issuer })
  const info = await client.fetchUserInfo(web, tokens.access_token, subject)
  assert.equal(info.email, told.email)
})

await step('introspection', async () => {
  const seen = await client.tokenIntrospection(pay, first.access_token)
  assert.equal(seen.active, true)
  assert.equal(seen.sub, subject)
  assert.equal(seen.client_id, 'market-app.web')
  assert.equal(seen.scope, 'charge')
  assert.deepEqual(await client.tokenIntrospection(market, first.access_token), { active: false })
})

await step('token exchange', async () => {
  const parameters = { subject_token: first.access_token, subject_token_type: accessToken, resource: told.marketAPI }
  const exchanged = await client.genericGrantRequest(pay, exchangeGrant, parameters)
  assert.equal(exchanged.issued_token_type, accessToken)
  assert.equal(exchanged.scope, 'items.read')
  const seen = await client.tokenIntrospection(market, exchanged.access_token)
  assert.equal(seen.active, true)
  assert.notEqual(seen.sub, subject)
  assert.deepEqual(seen.act, { sub: 'pay.backend', act: { sub: 'market-app.web' } })
  await refused('invalid_request', () => client.genericGrantRequest(market, exchangeGrant, { ...parameters, resource: told.payAPI }))
})

await step('client credentials with private_key_jwt', async () => {
  const tokens = await client.clientCredentialsGrant(market, { scope: 'charge.report' })
  const seen = await client.tokenIntrospection(pay, tokens.access_token)
  assert.equal(seen.sub, 'market.backend')
  await refused('invalid_scope', () => client.clientCredentialsGrant(market, { scope: 'charge' }))
  await refused('unauthorized_client', () => client.clientCredentialsGrant(web, { scope: 'charge' }))
})

await step('silent sign-in', async () => {
  const tokens = await signIn(web, told.redirects.web, 'openid', undefined, { prompt: 'none', max_age: '3600' })
  assert.equal(tokens.claims().sub, subject)
  assert.equal(typeof tokens.claims().auth_time, 'number')
})

const phone = await discover('market-app.phone', client.None())
await step('FAPI 2.0 with DPoP, a signed request and a signed response', async () => {
  const config = await discover('market-app.fapi', client.PrivateKeyJwt({ key: marketKey, kid: told.marketKey.kid }))
  client.useJwtResponseMode(config)
  client.enableNonRepudiationChecks(config)
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const verifier = client.randomPKCECodeVerifier()
  const [state, nonce] = [client.randomState(), client.randomNonce()]
  const signed = await client.buildAuthorizationUrlWithJAR(
    config,
    {
      redirect_uri: told.redirects.fapi,
      scope: 'openid email',
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    },
    { key: marketKey, kid: told.marketKey.kid },
  )
  const pushed = await client.buildAuthorizationUrlWithPAR(config, signed.searchParams, { DPoP })
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
  const tokens = await client.authorizationCodeGrant(config, await visit(pushed), checks, undefined, { DPoP })
  assert.equal(tokens.token_type, 'dpop')
  const info = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP })
  assert.equal(info.email, told.email)
})

const onPhone = await step('code with PKCE, public client', async () => {
  const tokens = await signIn(phone, told.redirects.phone, 'openid items.read offline_access')
  assert.equal(tokens.claims().sub, subject) // one sector, one id
  return tokens
})

await step('refresh with rotation', async () => {
  const second = await client.refreshTokenGrant(phone, onPhone.refresh_token)
  assert.notEqual(second.refresh_token, onPhone.refresh_token)
  const repeated = await client.refreshTokenGrant(phone, onPhone.refresh_token) // the answer was lost
  assert.equal(repeated.refresh_token, second.refresh_token)
  const third = await client.refreshTokenGrant(phone, second.refresh_token)
  await refused('invalid_grant', () => client.refreshTokenGrant(phone, onPhone.refresh_token)) // stolen
  await refused('invalid_grant', () => client.refreshTokenGrant(phone, third.refresh_token)) // so all end
})

await step('consent at a third party', async () => {
  const partner = await discover('partner.web', client.ClientSecretBasic(told.secrets.partner))
  const tokens = await signIn(partner, told.redirects.partner, 'openid items.read')
  assert.notEqual(tokens.claims().sub, subject)
})

await step('revocation', async () => {
  await client.tokenRevocation(web, first.access_token)
  assert.deepEqual(await client.tokenIntrospection(pay, first.access_token), { active: false })
  await client.tokenRevocation(web, first.refresh_token)
  await refused('invalid_grant', () => client.refreshTokenGrant(web, first.refresh_token))
})

await step('sign-out', async () => {
  const arrived = await visit(
    client.buildEndSessionUrl(web, {
      post_logout_redirect_uri: told.redirects.bye,
      id_token_hint: first.id_token,
      state: 'goodbye',
    }),
  )
  assert.equal(arrived.href, `${told.redirects.bye}?state=goodbye`)
  await refused('login_required', () => signIn(web, told.redirects.web, 'openid', undefined, { prompt: 'none' }))
})

closing()
