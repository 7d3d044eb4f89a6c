// Fetches the events of a stream: SECRET=… node event-poller.js ISSUER OUR_SUBSYSTEM OUR_CLIENT_ID
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [issuer, audience, client] = process.argv.slice(2)
const ours = { issuer, audience, typ: 'secevent+jwt', algorithms: ['RS256', 'ES256'], requiredClaims: ['sub_id', 'events'] }
const ask = async (url, options) => (await fetch(url, options)).json()
const { jwks_uri, configuration_endpoint } = await ask(`${issuer}/.well-known/ssf-configuration`)
const { token_endpoint } = await ask(`${issuer}/.well-known/openid-configuration`)
const keys = createRemoteJWKSet(new URL(jwks_uri))

async function call(url, message) {
  const basic = { authorization: `Basic ${btoa(`${client}:${process.env.SECRET}`)}` }
  const body = new URLSearchParams({ grant_type: 'client_credentials', scope: 'ssf.manage' })
  const { access_token } = await ask(token_endpoint, { method: 'POST', headers: basic, body })
  const headers = { authorization: `Bearer ${access_token}`, 'content-type': 'application/json' }
  return ask(url, message ? { method: 'POST', headers, body: JSON.stringify(message) } : { headers })
}

const [stream] = await call(configuration_endpoint)
for (let settled = {}; ;) { // ends at what the server refuses; one at a time, so that they come in order
  const { sets } = await call(stream.delivery.endpoint_url, { ...settled, maxEvents: 1 })
  settled = { ack: [], setErrs: {} }
  for (const [jti, set] of Object.entries(sets)) await jwtVerify(set, keys, ours).then(({ payload }) => {
    console.log(JSON.stringify({ jti, sub_id: payload.sub_id, events: payload.events })) // handle it once
    settled.ack.push(jti)
  }, ({ code, message }) => {
    if (/^ERR_(JWS|JWT|JOSE_ALG|JOSE_NOT)_/.test(code)) settled.setErrs[jti] = { err: 'invalid_request', description: message }
  })
}
