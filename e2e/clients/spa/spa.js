// An app without a server of its own, on oidc-client-ts. What it knows stands in
// #state, what it did last in #did.
const show = (id, text) => {
  document.getElementById(id).textContent = text
}

// on lets a button do something and shows what came of it.
function on(id, act) {
  document.getElementById(id).addEventListener('click', async () => {
    show('did', '')
    try {
      show('did', `${id}: ${await act()}`)
    } catch (error) {
      show('did', `${id}: ${error.error ?? error}`)
    }
  })
}

async function run() {
  const told = await (await fetch('/told.json')).json()
  const manager = new oidc.UserManager({
    authority: told.issuer,
    client_id: 'market-app.spa',
    redirect_uri: `${location.origin}/spa`,
    post_logout_redirect_uri: `${location.origin}/spa`,
    scope: 'openid profile email items.read offline_access',
    loadUserInfo: true,
    automaticSilentRenew: false,
  })

  if (location.search.includes('code=') || location.search.includes('error=')) {
    const here = await manager.signinCallback()
    if (!here) return // a frame or a window has told the page that opened it
    history.replaceState(null, '', '/spa')
  }
  const user = await manager.getUser()
  show('state', user ? `${user.profile.email} has ${user.scope}` : 'nobody')

  on('signin', () => manager.signinRedirect())
  on('popup', async () => `${(await manager.signinPopup()).profile.email} is here`)
  on('refresh', async () => {
    const before = await manager.getUser()
    const after = await manager.signinSilent()
    const rotated = before.refresh_token !== after.refresh_token && before.access_token !== after.access_token
    return rotated ? 'rotated' : 'the same tokens'
  })
  on('silently', async () => {
    const before = await manager.getUser()
    delete before.refresh_token // so that oidc-client-ts takes the frame
    await manager.storeUser(before)
    const after = await manager.signinSilent()
    return after.profile.sub === before.profile.sub ? 'the same person' : 'somebody else'
  })
  on('revoke', async () => {
    const { access_token: revoked } = await manager.getUser()
    await manager.revokeTokens(['access_token', 'refresh_token'])
    const response = await fetch(`${told.issuer}/oauth2/userinfo`, {
      headers: { authorization: `Bearer ${revoked}` },
    })
    return `${response.status} ${response.headers.get('www-authenticate')}`
  })
  on('signout', () => manager.signoutRedirect())
}

run().catch((error) => show('state', `failed: ${error}`))
