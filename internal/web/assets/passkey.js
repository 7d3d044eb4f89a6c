// Asks the browser for a passkey, or has it make one, and sends what it gives with the
// form that stands on the page. Without this script the form is not shown.
"use strict"

const form = document.querySelector("form[data-passkey]")
const button = document.getElementById("passkey")

// WebAuthn has bytes where JSON has base64url; newer browsers turn one into the other.
const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0))
const toText = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "")

function readOptions(text) {
  const options = JSON.parse(text)
  options.challenge = toBytes(options.challenge)
  if (options.user) options.user.id = toBytes(options.user.id)
  for (const list of [options.allowCredentials, options.excludeCredentials]) {
    for (const one of list ?? []) one.id = toBytes(one.id)
  }
  return options
}

function writeCredential(credential) {
  const { response } = credential
  const written = { clientDataJSON: toText(response.clientDataJSON) }
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) written[name] = toText(response[name])
  }
  if (response.getTransports) written.transports = response.getTransports()
  return JSON.stringify({
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: written,
  })
}

let offering // what waits in the address field, until the button is used

async function use(more) {
  const publicKey = readOptions(form.dataset.options)
  const credential = form.dataset.passkey === "create"
    ? await navigator.credentials.create({ publicKey })
    : await navigator.credentials.get({ publicKey, ...more })
  if (!credential) return
  form.querySelector("input[name=passkey]").value = writeCredential(credential)
  form.submit()
}

if (form && window.PublicKeyCredential) {
  form.classList.remove("waiting")
  button.addEventListener("click", async () => {
    if (!form.reportValidity()) return
    offering?.abort()
    button.disabled = true
    try {
      await use()
    } catch (error) {
      console.info("no passkey:", error.name) // the person has closed the window, or there is none
    }
    button.disabled = false
  })
  offer()
}

// offer lets the address field of the sign-in page propose passkeys.
async function offer() {
  if (form.dataset.passkey !== "get" || !document.querySelector('input[autocomplete~="webauthn"]')) return
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return
  offering = new AbortController()
  try {
    await use({ mediation: "conditional", signal: offering.signal })
  } catch (error) {
    if (error.name !== "AbortError") console.info("no passkey:", error.name)
  }
}
