// The conversation of a script with the Go test that runs it: lines of JSON.
// The test says first what the script needs to know; then the script reports
// each step it has done, and asks the test's person to visit a page.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

export async function hear() {
  const { value, done } = await lines.next()
  if (done) throw new Error('the test has gone')
  return JSON.parse(value)
}

export function say(message) {
  process.stdout.write(JSON.stringify(message) + '\n')
}

// visit sends the person to a page and gives the URL where they end up.
export async function visit(url) {
  say({ visit: String(url) })
  return new URL((await hear()).arrived)
}

// step runs one part of the story and reports it.
export async function step(name, run) {
  const result = await run()
  say({ step: name })
  return result
}

// refused checks that a client library reports an OAuth error of this code.
export async function refused(code, attempt) {
  await assert.rejects(attempt, (error) => {
    assert.equal(error.error, code, error.stack)
    return true
  })
}

// closing ends the conversation, so that the process may end.
export function closing() {
  process.stdin.destroy()
}
