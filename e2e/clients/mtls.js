// oauth4webapi and openid-client run FAPI 2.0 with mutual TLS: the client presents a
// certificate at the endpoint aliases, and its tokens are bound to it.
import assert from 'node:assert/strict'
import { request } from 'node:https'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { closing, hear, refused, step, visit } from './conversation.js'

const told = await hear()

// presenting is fetch with the certificate, or without.
const presenting = (certificate) => (url, options) =>
  new Promise((resolve, reject) => {
    const headers = Object.fromEntries(new Headers(options.headers))
    const asked = request(url, { ...certificate, ca: told.ca, method: options.method, headers }, (answer) => {
      const parts = []
      answer.on('data', (part) => parts.push(part))
      answer.on('end', () => {
        const body = [204, 304].includes(answer.statusCode) ? null : Buffer.concat(parts)
        resolve(new Response(body, { status: answer.statusCode, headers: Object.entries(answer.headers).map(([name, value]) => [name, String(value)]) }))
      })
    })
    asked.on('error', reject)
    asked.end(options.body ? String(options.body) : undefined)
  })

const ours = { cert: told.cert, key: told.key }
const options = { [oauth.customFetch]: presenting(ours) }
const app = { client_id: told.client, use_mtls_endpoint_aliases: true }
const authentication = oauth.TlsClientAuth()

const as = await step('aliases in the metadata', async () => {
  const issuer = new URL(told.issuer)
  const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options))
  assert.equal(as.tls_client_certificate_bound_access_tokens, true)
  assert.ok(as.token_endpoint_auth_methods_supported.includes('tls_client_auth'))
  assert.notEqual(new URL(as.mtls_endpoint_aliases.token_endpoint).host, issuer.host)
  return as
})

async function signIn(wishes) {
  const verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  const parameters = new URLSearchParams({
    client_id: told.client,
    response_type: 'code',
    redirect_uri: told.redirect,
    scope: 'openid email offline_access',
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...wishes,
  })
  const pushed = await oauth.pushedAuthorizationRequest(as, app, authentication, parameters, options)
  const { request_uri } = await oauth.processPushedAuthorizationResponse(as, app, pushed)
  const url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams({ client_id: told.client, request_uri })
  const callback = oauth.validateAuthResponse(as, app, await visit(url), state)
  const response = await oauth.authorizationCodeGrantRequest(as, app, authentication, callback, told.redirect, verifier, options)
  return oauth.processAuthorizationCodeResponse(as, app, response, { expectedNonce: nonce, requireIdToken: true })
}

const tokens = await step('code flow with a certificate', async () => {
  const tokens = await signIn({})
  assert.equal(tokens.token_type, 'bearer')
  return tokens
})

await step('userinfo with the certificate and without', async () => {
  const info = await oauth.userInfoRequest(as, app, tokens.access_token, options)
  assert.equal((await oauth.processUserInfoResponse(as, app, oauth.skipSubjectCheck, info)).email, told.email)
  const stolen = await oauth.userInfoRequest(as, app, tokens.access_token, { [oauth.customFetch]: presenting({}) })
  await assert.rejects(oauth.processUserInfoResponse(as, app, oauth.skipSubjectCheck, stolen), oauth.WWWAuthenticateChallengeError)
})

await step('refresh with the certificate and without', async () => {
  const again = await oauth.refreshTokenGrantRequest(as, app, authentication, tokens.refresh_token, options)
  assert.ok((await oauth.processRefreshTokenResponse(as, app, again)).access_token)
  const stolen = await oauth.refreshTokenGrantRequest(as, app, authentication, tokens.refresh_token, { [oauth.customFetch]: presenting({}) })
  await refused('invalid_client', () => oauth.processRefreshTokenResponse(as, app, stolen))
})

await step('the same by openid-client', async () => {
  const metadata = { use_mtls_endpoint_aliases: true }
  const config = await client.discovery(new URL(told.issuer), told.client, metadata, client.TlsClientAuth(), {
    [client.customFetch]: presenting(ours),
  })
  const verifier = client.randomPKCECodeVerifier()
  const [state, nonce] = [client.randomState(), client.randomNonce()]
  const url = await client.buildAuthorizationUrlWithPAR(config, {
    redirect_uri: told.redirect,
    scope: 'openid email',
    state,
    nonce,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  })
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
  const got = await client.authorizationCodeGrant(config, await visit(url), checks)
  const info = await client.fetchUserInfo(config, got.access_token, got.claims().sub)
  assert.equal(info.email, told.email)
})

closing()
