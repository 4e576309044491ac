// The policy of the page, pages of other sites, the places where the browser keeps tokens, and foreign text as text.

import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import { consoleUrl, describeConsole, needsChromium, openPage, startConsoleCluster } from './browser.ts'

const MARKUP = '<img src=x onerror=alert(1)>\u202ejavascript:alert(1)'
const AS_TEXT = '<img src=x onerror=alert(1)>\\u202ejavascript:alert(1)'

/** Serves a page of another site, and returns its address. */
async function serveForeignPage(html: string): Promise<string> {
  const server = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end(html))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://other.example:${(server.address() as AddressInfo).port}/`
}

describeConsole(needsChromium('the security of the console'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  let url: string
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client()
    url = (await cluster.waitForLeader()).url
  })

  test('the page runs no inline script, and takes no inline style', async () => {
    const page = await openPage(consoleUrl({ url }), { expected: /Content Security Policy/ })
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    const isRun = await page.evaluate(`
      const script = document.createElement('script')
      script.textContent = 'document.title = "run"'
      const style = document.createElement('style')
      style.textContent = 'body { display: none }'
      document.body.append(script, style)
      document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="document.title = 1">')
      document.title !== 'quorate' || getComputedStyle(document.body).display === 'none'`)
    expect(isRun).toBe(false)
    await expect(page.evaluate(() => fetch('http://other.example/'))).rejects.toThrow('Failed to fetch')
    expect(await page.title()).toBe('quorate')
  })

  test('a page of another site cannot show it in a frame', async () => {
    const foreign = await serveForeignPage(`<iframe src="${url}/ui/"></iframe>`)
    const page = await openPage(foreign, { otherOrigins: [url], expected: /frame-ancestors/ })
    const framed = page.frameLocator('iframe').locator('body')
    // The node refuses the request of the foreign page, and its refusal has the policy, too.
    await expect.poll(() => framed.textContent()).toContain('ERR_BLOCKED_BY_RESPONSE')
    // A page that hides where it comes from is not refused. Its browser has the policy.
    const answer = await fetch(`${url}/ui/`)
    expect(answer.headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
  })

  test('a page of another site reads nothing and changes nothing', async () => {
    await kv.put('secret', 'before')
    const page = await openPage(await serveForeignPage('<p>other</p>'), {
      otherOrigins: [url],
      expected: /CORS policy/,
    })
    const answers = await page.evaluate(async (node) => {
      const key = `${node}/v1/kv/secret`
      const txn = JSON.stringify({ success: [{ put: { key: 'secret', value: 'after' } }] })
      const requests = [
        fetch(key),
        fetch(`${node}/ui/console.json`),
        fetch(key, { method: 'PUT', body: 'after' }),
        fetch(key, { method: 'DELETE' }),
        fetch(`${node}/v1/txn`, { method: 'POST', body: txn }),
        // Sent without a question to the node, and its answer is hidden.
        fetch(`${node}/v1/txn`, { method: 'POST', body: txn, mode: 'no-cors' }),
      ]
      const settled = await Promise.allSettled(requests)
      return settled.map((each) => (each.status === 'fulfilled' ? each.value.type : 'refused'))
    }, url)
    expect(answers).toEqual([...Array(5).fill('refused'), 'opaque'])
    expect((await kv.get('secret'))?.text()).toBe('before')
  })

  test('a name that was bound to the address of a node shows nothing', async () => {
    const rebound = url.replace('127.0.0.1', 'rebound.example')
    const page = await openPage('about:blank', { otherOrigins: [rebound] })
    for (const path of ['/ui/', '/ui/console.json', '/v1/kv/secret'])
      expect((await page.goto(rebound + path))?.status()).toBe(421)
  })

  test('the control token leaves the URL, and stays in its tab', async () => {
    const page = await openPage(`${url}/ui/#token=control-token`)
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    expect(page.url()).toBe(`${url}/ui/#/`)
    await page.goBack()
    expect(page.url()).not.toContain('control-token')
    await page.goForward()
    expect(await keptIn(page)).toEqual({ tab: ['quorate.control'], origin: [], cookies: [] })
  })

  test('what a node answers is shown as text', async () => {
    const page = await openPage('about:blank', { otherOrigins: [url] })
    const members = [{ name: MARKUP, url: 'javascript:alert(1)' }]
    const host = { kind: 'node', node: MARKUP, version: MARKUP, cluster_id: MARKUP, members }
    await page.route('**/ui/console.json', (route) => route.fulfill({ json: host }))
    const problem = {
      ...{ type: 'urn:quorate:problem:permission_denied', code: 'permission_denied', status: 403 },
      ...{ title: MARKUP, detail: MARKUP, written: 'no' },
    }
    const headers = { 'Content-Type': 'application/problem+json', 'Kv-Cluster': '1' }
    await page.route('**/v1/**', (route) => route.fulfill({ status: 403, headers, json: problem }))
    await page.goto(consoleUrl({ url }, '#/keys/a'))
    await page.getByRole('alert').filter({ hasText: AS_TEXT }).first().waitFor()
    await page.getByRole('banner').getByText(`From ${AS_TEXT}`).waitFor()
    expect(await page.locator('img').count()).toBe(0)
    expect(await page.locator('[href^="javascript:"]').count()).toBe(0)
  })
})

describeConsole(needsChromium('the login of the console'), () => {
  test('the token of a user stays in the tab', async () => {
    const cluster = await startConsoleCluster({ nodes: 1, auth: { rootPassword: 'correct horse' } })
    const { url } = await cluster.waitForLeader()
    const page = await openPage(consoleUrl({ url }))
    const dialog = page.getByRole('dialog', { name: 'Log in' })
    await dialog.getByLabel('User').fill('root')
    await dialog.getByLabel('Password').fill('correct horse')
    await dialog.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    expect(page.url()).toMatch(/\/ui\/#\/overview$/)
    expect(await keptIn(page)).toEqual({
      tab: ['quorate.token', 'quorate.user'],
      origin: [],
      cookies: [],
    })
    const kept = await page.evaluate(() => JSON.stringify(sessionStorage))
    expect(kept + (await page.content())).not.toContain('correct horse')

    const other = await page.context().newPage()
    await other.goto(consoleUrl({ url }))
    await other.getByRole('dialog', { name: 'Log in' }).waitFor()

    await page.getByRole('button', { name: 'Log out root' }).click()
    await expect.poll(() => keptIn(page)).toEqual({ tab: [], origin: [], cookies: [] })
  })
})

/** Names of what the browser keeps for the tab, and of what it keeps for the origin. */
const keptIn = async (page: Page) => ({
  tab: await page.evaluate(() => Object.keys(sessionStorage).sort()),
  origin: await page.evaluate(() => Object.keys(localStorage)),
  cookies: await page.context().cookies(),
})
