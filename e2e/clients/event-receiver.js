// Receives events of both forms: node event-receiver.js ISSUER OUR_SUBSYSTEM PORT
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const [issuer, audience, port] = process.argv.slice(2)
const { jwks_uri } = await (await fetch(`${issuer}/.well-known/ssf-configuration`)).json()
const keys = createRemoteJWKSet(new URL(jwks_uri))
const withBody = { typ: 'event+jwt', algorithms: ['ES256'], requiredClaims: ['exp', 'jti', 'sub', 'events'] }
const alone = { typ: 'secevent+jwt', algorithms: ['RS256', 'ES256'], requiredClaims: ['jti', 'sub_id', 'events'] }
const handled = new Set() // yours is a table, written in the transaction that does the work
createServer(async (request, response) => {
  try {
    let body = Buffer.alloc(0)
    for await (const part of request) if ((body = Buffer.concat([body, part])).length > 1 << 16) return request.destroy()
    const isSET = request.headers['content-type'] === 'application/secevent+jwt'
    const token = isSET ? body.toString() : request.headers.authorization?.replace(/^Bearer /, '')
    const checks = { issuer, audience, clockTolerance: 10, ...(isSET ? alone : withBody) }
    const { jti, sub, sub_id, events } = (await jwtVerify(token, keys, checks)).payload
    const [[type, said], more] = Object.entries(events)
    const digest = createHash('sha256').update(body).digest('base64url')
    if (more || (!isSET && said.body_sha256 !== digest)) throw new errors.JWTInvalid('another body, or two events')
    if (!handled.has(jti)) console.log(JSON.stringify({ jti, type, sub, sub_id, data: isSET ? said : JSON.parse(body) }))
    response.writeHead(handled.add(jti) && 202).end()
  } catch ({ code, message }) { // 503, send it again, where no key was found or the trouble is our own
    response.writeHead(/^ERR_(JWS|JWT|JOSE_ALG|JOSE_NOT)_/.test(code) ? 400 : 503, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ err: 'invalid_request', description: message }))
  }
}).listen(port, 'localhost')
