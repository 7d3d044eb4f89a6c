// oauth4webapi, which checks every response to the letter, as relying party and
// as resource server.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { closing, hear, refused, step, visit } from './conversation.js'

const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const idToken = 'urn:ietf:params:oauth:token-type:id_token'

const told = await hear()
const plain = { [oauth.allowInsecureRequests]: true }

const as = await step('discovery', async () => {
  const issuer = new URL(told.issuer)
  const ofOAuth = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...plain }),
  )
  const ofOIDC = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, plain))
  assert.deepEqual(ofOAuth, ofOIDC)
  return ofOIDC
})

// A party is a client with its way to authenticate.
const web = { client: { client_id: 'market-app.posting' }, authentication: oauth.ClientSecretPost(told.secrets.web) }
const spa = { client: { client_id: 'market-app.spa' }, authentication: oauth.None() }
const pay = { client: { client_id: 'pay.backend' }, authentication: oauth.ClientSecretPost(told.secrets.pay) }
const marketKey = await crypto.subtle.importKey('jwk', told.marketKey, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const market = {
  client: { client_id: 'market.backend' },
  authentication: oauth.PrivateKeyJwt({ key: marketKey, kid: told.marketKey.kid }),
}

async function signIn({ client, authentication }, redirectURI, scope, resource, wishes = {}, pushed = false) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const request = new URLSearchParams({
    client_id: client.client_id,
    response_type: 'code',
    redirect_uri: redirectURI,
    scope,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...wishes,
  })
  const url = new URL(as.authorization_endpoint)
  url.search = pushed ? await push({ client, authentication }, request) : request
  const back = await visit(url)
  const callback =
    wishes.response_mode === 'jwt'
      ? await oauth.validateJwtAuthResponse(as, client, back, state, plain)
      : oauth.validateAuthResponse(as, client, back, state)
  const response = await oauth.authorizationCodeGrantRequest(as, client, authentication, callback, redirectURI, verifier, {
    additionalParameters: resource ? { resource } : {},
    ...plain,
  })
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, {
    expectedNonce: nonce,
    maxAge: wishes.max_age ? Number(wishes.max_age) : undefined,
    requireIdToken: true,
  })
  await oauth.validateApplicationLevelSignature(as, response, plain)
  return tokens
}

async function push({ client, authentication }, request) {
  const response = await oauth.pushedAuthorizationRequest(as, client, authentication, request, plain)
  const { request_uri } = await oauth.processPushedAuthorizationResponse(as, client, response)
  return new URLSearchParams({ client_id: client.client_id, request_uri })
}

async function refresh({ client, authentication }, token, parameters = {}) {
  const response = await oauth.refreshTokenGrantRequest(as, client, authentication, token, {
    additionalParameters: parameters,
    ...plain,
  })
  return oauth.processRefreshTokenResponse(as, client, response)
}

async function introspect({ client, authentication }, token) {
  const response = await oauth.introspectionRequest(as, client, authentication, token, plain)
  return oauth.processIntrospectionResponse(as, client, response)
}

async function exchange({ client, authentication }, parameters, options) {
  const response = await oauth.genericTokenEndpointRequest(as, client, authentication, exchangeGrant, parameters, plain)
  return oauth.processGenericTokenEndpointResponse(as, client, response, options)
}

// called checks an access token as a resource server does (RFC 9068).
function called(token, audience) {
  const request = new Request(audience, { headers: { authorization: `Bearer ${token}` } })
  return oauth.validateJwtAccessToken(as, request, audience, plain)
}

const first = await step('code with PKCE, confidential client', () =>
  signIn(web, told.redirects.posting, 'openid profile email charge items.read offline_access', told.payAPI),
)
const subject = oauth.getValidatedIdTokenClaims(first).sub

await step('access token as RFC 9068 has it', async () => {
  const claims = await called(first.access_token, told.payAPI)
  assert.equal(claims.sub, subject)
  assert.equal(claims.scope, 'charge')
  await assert.rejects(called(first.access_token, told.marketAPI))
})

await step('userinfo', async () => {
  const tokens = await refresh(web, first.refresh_token, { resource: told.issuer })
  const response = await oauth.userInfoRequest(as, web.client, tokens.access_token, plain)
  const info = await oauth.processUserInfoResponse(as, web.client, subject, response)
  assert.equal(info.email, told.email)
  const refusedResponse = await oauth.userInfoRequest(as, web.client, first.access_token, plain)
  await assert.rejects(oauth.processUserInfoResponse(as, web.client, subject, refusedResponse), (error) => {
    assert.ok(error instanceof oauth.WWWAuthenticateChallengeError, error.stack)
    assert.equal(error.cause[0].scheme, 'bearer')
    assert.equal(error.cause[0].parameters.error, 'invalid_token')
    return true
  })
})

await step('introspection', async () => {
  assert.equal((await introspect(pay, first.access_token)).sub, subject)
  assert.deepEqual(await introspect(market, first.access_token), { active: false })
})

await step('signed introspection', async () => {
  const response = await oauth.introspectionRequest(as, pay.client, pay.authentication, first.access_token, {
    requestJwtResponse: true,
    ...plain,
  })
  const claims = await oauth.processIntrospectionResponse(as, pay.client, response)
  await oauth.validateApplicationLevelSignature(as, response, plain)
  assert.equal(claims.active, true)
  assert.equal(claims.sub, subject)
})

await step('token exchange', async () => {
  const parameters = { subject_token: first.access_token, subject_token_type: accessToken, resource: told.marketAPI }
  const exchanged = await exchange(pay, parameters)
  assert.equal(exchanged.issued_token_type, accessToken)
  const claims = await called(exchanged.access_token, told.marketAPI)
  assert.notEqual(claims.sub, subject)
  assert.equal(claims.client_id, 'pay.backend')
  assert.deepEqual(claims.act, { sub: 'pay.backend', act: { sub: 'market-app.posting' } })
  assert.ok(claims.exp <= (await called(first.access_token, told.payAPI)).exp)
})

await step('token exchange for an ID token', async () => {
  const parameters = { subject_token: first.access_token, subject_token_type: accessToken, requested_token_type: idToken }
  const exchanged = await exchange(pay, parameters, { recognizedTokenTypes: { n_a: () => {} } })
  assert.equal(exchanged.issued_token_type, idToken)
})

await step('client credentials with private_key_jwt', async () => {
  const { client, authentication } = market
  const response = await oauth.clientCredentialsGrantRequest(as, client, authentication, { scope: 'charge.report' }, plain)
  const tokens = await oauth.processClientCredentialsResponse(as, client, response)
  const claims = await called(tokens.access_token, told.payAPI)
  assert.equal(claims.sub, 'market.backend')
  assert.equal(claims.client_id, claims.sub)
})

await step('fresh sign-in within max_age', async () => {
  const tokens = await signIn(web, told.redirects.posting, 'openid', undefined, { max_age: '600', prompt: 'none' })
  assert.equal(oauth.getValidatedIdTokenClaims(tokens).sub, subject)
})

for (const [name, party, redirect] of [['confidential', web, told.redirects.posting], ['public', spa, told.redirects.spa]]) {
  await step(`pushed authorization request, ${name} client`, async () => {
    const tokens = await signIn(party, redirect, 'openid', undefined, {}, true)
    assert.equal(oauth.getValidatedIdTokenClaims(tokens).sub, subject)
  })
}

await step('signed authorization response', async () => {
  const tokens = await signIn(web, told.redirects.posting, 'openid', undefined, { response_mode: 'jwt' }, true)
  assert.equal(oauth.getValidatedIdTokenClaims(tokens).sub, subject)
})

const fapi = {
  client: { client_id: 'market-app.fapi' },
  authentication: oauth.PrivateKeyJwt({ key: marketKey, kid: told.marketKey.kid }),
}
const key = await oauth.generateKeyPair('ES256')
const DPoP = oauth.DPoP(fapi.client, key)
const transfer = { type: 'transfer', amount: 12.5, to: 'Ben' }

// proved makes a request with a proof, and once more where the server asks for its
// nonce.
async function proved(request) {
  try {
    return await request()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    return request()
  }
}

const bound = await step('FAPI 2.0 with DPoP and a signed request', async () => {
  const { client, authentication } = fapi
  const verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  const parameters = new URLSearchParams({
    response_type: 'code',
    response_mode: 'jwt',
    redirect_uri: told.redirects.fapi,
    scope: 'openid charge offline_access',
    resource: told.payAPI,
    authorization_details: JSON.stringify([transfer]),
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  const { request_uri } = await proved(async () => {
    const request = await oauth.issueRequestObject(as, client, parameters, { key: marketKey, kid: told.marketKey.kid })
    const pushed = new URLSearchParams({ client_id: client.client_id, request })
    const response = await oauth.pushedAuthorizationRequest(as, client, authentication, pushed, { DPoP, ...plain })
    return oauth.processPushedAuthorizationResponse(as, client, response)
  })
  const url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams({ client_id: client.client_id, request_uri })
  const callback = await oauth.validateJwtAuthResponse(as, client, await visit(url), state, plain)
  const tokens = await proved(async () => {
    const response = await oauth.authorizationCodeGrantRequest(as, client, authentication, callback, told.redirects.fapi, verifier, {
      additionalParameters: { resource: told.payAPI },
      DPoP,
      ...plain,
    })
    return oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true })
  })
  assert.equal(tokens.token_type, 'dpop')
  assert.deepEqual(tokens.authorization_details, [transfer])
  return tokens
})

await step('authorization details narrowed by a refresh', async () => {
  const { client, authentication } = fapi
  const refreshed = (amount) => proved(async () => {
    const response = await oauth.refreshTokenGrantRequest(as, client, authentication, bound.refresh_token, {
      additionalParameters: { resource: told.payAPI, authorization_details: JSON.stringify([{ ...transfer, amount }]) },
      DPoP,
      ...plain,
    })
    return oauth.processRefreshTokenResponse(as, client, response)
  })
  assert.equal((await refreshed(9.5)).authorization_details[0].amount, 9.5)
  await refused('invalid_authorization_details', () => refreshed(12.51))
})

await step('bound token at userinfo', async () => {
  const { client, authentication } = fapi
  const response = await oauth.refreshTokenGrantRequest(as, client, authentication, bound.refresh_token, {
    additionalParameters: { resource: told.issuer },
    DPoP,
    ...plain,
  })
  const tokens = await oauth.processRefreshTokenResponse(as, client, response)
  const info = await oauth.userInfoRequest(as, client, tokens.access_token, { DPoP, ...plain })
  assert.ok((await oauth.processUserInfoResponse(as, client, oauth.skipSubjectCheck, info)).sub)
  const stolen = await oauth.userInfoRequest(as, client, tokens.access_token, plain)
  await assert.rejects(oauth.processUserInfoResponse(as, client, oauth.skipSubjectCheck, stolen), oauth.WWWAuthenticateChallengeError)
})

await step('bound refresh token', async () => {
  await refused('invalid_dpop_proof', () => refresh(fapi, bound.refresh_token))
})

await step('exchange of a bound token', async () => {
  const parameters = { subject_token: bound.access_token, subject_token_type: accessToken, resource: told.marketAPI }
  await refused('invalid_request', () => exchange(pay, parameters))
  // The proof that pay was sent with the token.
  let sent
  await oauth.protectedResourceRequest(bound.access_token, 'POST', new URL(told.payAPI + '/charges'), undefined, undefined, {
    DPoP,
    ...plain,
    [oauth.customFetch]: async (_, { headers }) => {
      sent = new Headers(headers).get('dpop')
      return new Response()
    },
  })
  const exchanged = await exchange(pay, { ...parameters, subject_token_proof: sent })
  assert.equal((await called(exchanged.access_token, told.marketAPI)).client_id, 'pay.backend')
})

const inBrowser = await step('code with PKCE, public client', () => signIn(spa, told.redirects.spa, 'openid items.read offline_access'))

await step('refresh with rotation', async () => {
  const second = await refresh(spa, inBrowser.refresh_token)
  assert.notEqual(second.refresh_token, inBrowser.refresh_token)
  const third = await refresh(spa, second.refresh_token)
  await refused('invalid_grant', () => refresh(spa, inBrowser.refresh_token))
  await refused('invalid_grant', () => refresh(spa, third.refresh_token))
})

await step('revocation', async () => {
  const { client, authentication } = web
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, first.access_token, plain))
  assert.deepEqual(await introspect(pay, first.access_token), { active: false })
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, first.refresh_token, plain))
  await refused('invalid_grant', () => refresh(web, first.refresh_token))
})

await step('wrong credentials', async () => {
  const { client } = web
  const response = await oauth.clientCredentialsGrantRequest(as, client, oauth.ClientSecretBasic('not the secret'), {}, plain)
  await assert.rejects(oauth.processClientCredentialsResponse(as, client, response), (error) => {
    assert.ok(error instanceof oauth.ResponseBodyError || error instanceof oauth.WWWAuthenticateChallengeError, error.stack)
    assert.equal(error.status, 401)
    return true
  })
})

await step('sign-out', async () => {
  const url = new URL(as.end_session_endpoint)
  url.searchParams.set('id_token_hint', first.id_token)
  url.searchParams.set('post_logout_redirect_uri', told.redirects.bye)
  assert.equal((await visit(url)).href, told.redirects.bye)
})

closing()
