// Receives back-channel logout tokens: node logout-receiver.js ISSUER OUR_CLIENT_ID PORT
import { createServer } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [issuer, audience, port] = process.argv.slice(2)
const event = 'http://schemas.openid.net/event/backchannel-logout'
let keys // fetched when the first token comes

async function check(token) {
  keys ??= createRemoteJWKSet(new URL((await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()).jwks_uri))
  const requiredClaims = ['iat', 'exp', 'jti', 'events']
  const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'logout+jwt', algorithms: ['RS256', 'ES256'], requiredClaims })
  if (typeof payload.events[event] !== 'object') throw new Error('no logout event')
  if ('nonce' in payload || !(payload.sid || payload.sub)) throw new Error('no logout token') // OIDC Back-Channel Logout 1.0 §2.6
  return payload
}

createServer(async (request, response) => {
  try {
    const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString())
    const { jti, sid, sub } = await check(form.get('logout_token'))
    console.log(JSON.stringify({ jti, sid, sub }))
    response.writeHead(200, { 'cache-control': 'no-store' }).end()
  } catch (error) {
    response.writeHead(400, { 'cache-control': 'no-store' }).end(error.message)
  }
}).listen(port, 'localhost')
