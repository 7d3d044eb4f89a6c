// A receiver's side of Shared Signals over plain HTTP: the test says what to
// do, one line at a time, and hears the answer.
import { closing, hear, say } from './conversation.js'

const told = await hear()

async function json(url) {
  const answer = await fetch(url)
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`)
  return answer.json()
}

const ssf = await json(`${told.issuer}/.well-known/ssf-configuration`)
const { token_endpoint } = await json(`${told.issuer}/.well-known/openid-configuration`)

async function token() {
  const answer = await fetch(token_endpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${told.client}:${told.secret}`)}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'ssf.manage' }),
  })
  if (!answer.ok) throw new Error(`no token: ${answer.status} ${await answer.text()}`)
  return (await answer.json()).access_token
}

async function call(method, url, message) {
  const headers = { authorization: `Bearer ${await token()}` }
  if (message) headers['content-type'] = 'application/json'
  const answer = await fetch(url, { method, headers, body: message && JSON.stringify(message) })
  const text = await answer.text()
  return { status: answer.status, body: text ? JSON.parse(text) : {} }
}

let stream // as the server last described it

const deeds = {
  async create({ delivery }) {
    const answer = await call('POST', ssf.configuration_endpoint, { delivery })
    stream = answer.body
    return answer
  },
  read: () => call('GET', `${ssf.configuration_endpoint}?stream_id=${stream.stream_id}`),
  change: ({ delivery }) => call('PATCH', ssf.configuration_endpoint, { stream_id: stream.stream_id, delivery }),
  delete: () => call('DELETE', `${ssf.configuration_endpoint}?stream_id=${stream.stream_id}`),
  status: () => call('GET', `${ssf.status_endpoint}?stream_id=${stream.stream_id}`),
  become: ({ status }) => call('POST', ssf.status_endpoint, { stream_id: stream.stream_id, status }),
  verify: ({ state }) => call('POST', ssf.verification_endpoint, { stream_id: stream.stream_id, state }),
  add: ({ subject }) => call('POST', ssf.add_subject_endpoint, { stream_id: stream.stream_id, subject }),
  remove: ({ subject }) => call('POST', ssf.remove_subject_endpoint, { stream_id: stream.stream_id, subject }),
  poll: ({ message }) => call('POST', stream.delivery.endpoint_url, message),
}

for (;;) {
  const order = await hear()
  if (order.do === 'end') break
  say(await deeds[order.do](order))
}
closing()
