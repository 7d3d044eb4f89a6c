// A site on Express with express-openid-connect as its users have it: sign-in by
// response_mode form_post, tokens in the site's own cookie, sign-out here and
// at the server.
import express from 'express'
import expressOpenIDConnect from 'express-openid-connect'
import { closing, hear, say } from './conversation.js'

const { auth, requiresAuth } = expressOpenIDConnect

const told = await hear()
const port = Number(new URL(told.site).port)

const app = express()
app.get('/favicon.ico', (_, response) => response.status(204).end())
app.use(
  auth({
    issuerBaseURL: told.issuer,
    baseURL: told.site,
    clientID: 'shops.web',
    clientSecret: told.secret,
    secret: 'the key of the cookies of this site',
    authRequired: false,
    idpLogout: true,
    authorizationParams: {
      response_type: 'code',
      response_mode: 'form_post',
      scope: 'openid profile email items.read offline_access',
    },
  }),
)

// page writes facts, each under an id that the test looks for.
function page(response, facts) {
  const lines = Object.entries(facts).map(([id, fact]) => `<p id="${id}">${fact}</p>`)
  response.type('html').send(`<!doctype html><title>Shops</title>${lines.join('')}`)
}

app.get('/', ({ oidc }, response) => {
  if (oidc.isAuthenticated()) page(response, { 'signed-in': oidc.user.sub })
  else page(response, { 'signed-out': 'Nobody is signed in.' })
})

app.get('/profile', requiresAuth(), async ({ oidc }, response) => {
  const info = await oidc.fetchUserInfo()
  page(response, { email: info.email, name: info.name, same: info.sub === oidc.idTokenClaims.sub })
})

app.get('/refresh', requiresAuth(), async ({ oidc }, response) => {
  const before = oidc.accessToken.access_token
  const after = await oidc.accessToken.refresh()
  page(response, { refreshed: before !== after.access_token && after.token_type })
})

app.use((error, _request, response, _next) => {
  console.error(error)
  page(response.status(500), { error: error.message })
})

const server = app.listen(port, 'localhost', () => say({ listening: told.site }))

process.stdin.on('end', () => {
  closing()
  server.close()
  server.closeAllConnections()
})
