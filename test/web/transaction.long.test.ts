// The editor of transactions where rights are checked, without a leader, and with a text of a mebibyte.

import type { Page } from 'playwright-core'
import { expect, test } from 'vitest'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

const PASSWORD = 'correct horse battery'
const PUT = '{"success": [{"put": {"key": "other/a", "value": "1"}}]}'

const editorOf = (page: Page) => page.getByRole('textbox', { name: 'Transaction in JSON' })
const runButtonOf = (page: Page) => page.getByRole('button', { name: 'Run', exact: true })

async function logIn(page: Page, user: string): Promise<void> {
  const dialog = page.getByRole('dialog', { name: 'Log in' })
  await dialog.getByRole('textbox', { name: 'User' }).fill(user)
  await dialog.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
  await dialog.getByRole('button', { name: 'Log in' }).click()
}

describeConsole(needsChromium('transactions'), () => {
  test('whoever lacks a right sees which one, and leaves no text to the next user', async () => {
    const cluster = await startConsoleCluster({ nodes: 1, auth: { rootPassword: PASSWORD } })
    const root = cluster.client()
    await root.roles.put('app', [{ access: 'read', prefix: 'app/' }])
    await root.users.put('bob', { password: PASSWORD, roles: ['app'] })
    const page = await openPage(consoleUrl(await cluster.waitForLeader(), '#/transaction'))
    await logIn(page, 'bob')
    await page.getByRole('button', { name: 'Log out bob' }).waitFor()
    await editorOf(page).fill(PUT)
    await runButtonOf(page).click()
    await page.getByText(/^Not written: .*write.*\.$/).waitFor()
    expect(await root.count()).toBe(0)
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Log out bob' }).click()
    await logIn(page, 'root')
    await page.getByRole('button', { name: 'Log out root' }).waitFor()
    expect(await editorOf(page).inputValue()).toBe('')
  })

  test('a text of a mebibyte is checked and run, in light and dark and on a small screen', async () => {
    const cluster = await startConsoleCluster({ nodes: 1 })
    const page = await openPage(consoleUrl(await cluster.waitForLeader(), '#/transaction'), {
      viewport: { width: 360, height: 800 },
      colorScheme: 'dark',
    })
    const value = 'x'.repeat(2 ** 20)
    await editorOf(page).fill(JSON.stringify({ success: [{ put: { key: 'large', value } }] }))
    await page.getByText('(1.0 MiB)').waitFor()
    await runButtonOf(page).click()
    await page.getByText(/^Written at revision \d+\.$/).waitFor()
    expect((await cluster.client().get('large'))?.value.length).toBe(2 ** 20)
    expect(await findBarriers(page)).toEqual([])
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0)
  })

  test('without a leader nothing is written, and the page says why', async () => {
    const cluster = await startConsoleCluster({ nodes: 2 })
    const leader = await cluster.waitForLeader()
    const page = await openPage(consoleUrl(leader, '#/transaction'))
    await editorOf(page).fill(PUT)
    for (const node of cluster.nodes) if (node.name !== leader.name) await node.stop()
    await runButtonOf(page).click()
    await page.getByText('Sent. There is no answer yet.').waitFor()
    await page.getByText(/^(Not written|It is not known whether it was written): .+\.$/).waitFor()
  })
})
