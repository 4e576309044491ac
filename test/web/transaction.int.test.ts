// The editor of transactions.

import type { Page, Route } from 'playwright-core'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

const editorOf = (page: Page) => page.getByRole('textbox', { name: 'Transaction in JSON' })
const runButtonOf = (page: Page) => page.getByRole('button', { name: 'Run', exact: true })

describeConsole(needsChromium('transactions'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client()
  })
  beforeEach(async () => {
    await kv.deleteRange({ all: true })
  })
  const open = async (place = '#/transaction') => openPage(consoleUrl(await cluster.waitForLeader(), place))

  test('a fault is shown with its place while one types, and such a text cannot be run', async () => {
    const page = await open()
    await editorOf(page).fill('{"success": [\n  {"put": {"key": "a"}}]}')
    await page.getByText('Line 2, column 4: the body lacks the field "success[0].put.value"').waitFor()
    expect(await runButtonOf(page).isDisabled()).toBe(true)
    expect(await findBarriers(page)).toEqual([])
    const lines = '{"success": [\n'.padEnd(200, '\n')
    await editorOf(page).fill(`${lines}{"put": {"key": "a"}}]}`)
    await page.getByRole('button', { name: 'Line 188, column 2' }).click()
    const [editor, number] = await Promise.all([
      editorOf(page).boundingBox(),
      page.getByText('188', { exact: true }).boundingBox(),
    ])
    expect(editor?.height).toBeLessThan(500)
    expect(number?.y).toBeGreaterThan(editor?.y ?? 0)
    expect((number?.y ?? 0) + (number?.height ?? 0)).toBeLessThan((editor?.y ?? 0) + (editor?.height ?? 0))
    expect(await page.evaluate('document.getSelection()?.toString()')).toBe('"')
    await editorOf(page).fill('{"success": [{"put": {"key": "a", "value": "one"}}]}')
    await page.getByText('The text has no fault.').waitFor()
    await page.getByRole('region', { name: 'What it will do' }).getByText('writes a = one').waitFor()
    expect(await runButtonOf(page).isEnabled()).toBe(true)
  })

  test('a run shows what became of it, and each result with a link to its key', async () => {
    const page = await open()
    const txn = {
      compare: [{ key: 'a', exists: false }],
      success: [{ put: { key: 'a', value: 'one' } }],
      failure: [{ get: { prefix: '' } }],
    }
    await editorOf(page).fill(JSON.stringify(txn))
    await runButtonOf(page).click()
    await page.getByText(/^Written at revision \d+\.$/).waitFor()
    expect((await kv.get('a'))?.text()).toBe('one')
    await runButtonOf(page).click()
    await page.getByText('Nothing was changed.').waitFor()
    await page.getByText('The comparison did not hold, so the steps after “else” were done.').waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('table', { name: 'Records' }).getByRole('link', { name: 'a' }).click()
    await page.getByRole('heading', { name: 'a', exact: true }).waitFor()
    await page.goBack()
    await page.getByText('Nothing was changed.').waitFor()
  })

  test('a link opens a text and does not run it, and a reload keeps what was typed', async () => {
    const text = '{"success": [{"put": {"key": "linked", "value": "1"}}]}'
    const page = await open(`#/transaction?text=${encodeURIComponent(text)}`)
    await page.getByText('writes linked = 1').waitFor()
    await editorOf(page).fill(text.replace('linked', 'typed'))
    await page.reload()
    await page.getByText('writes typed = 1').waitFor()
    expect(page.url()).toMatch(/#\/transaction$/)
    expect(await kv.count()).toBe(0)
  })

  test('the same text, run again after an unknown outcome, is applied once', async () => {
    const page = await open()
    const tokens: (string | undefined)[] = []
    const loseAnswer = async (route: Route): Promise<void> => {
      tokens.push(route.request().headers()['idempotency-key'])
      await route.fetch()
      await route.abort()
    }
    await page.route('**/v1/txn*', loseAnswer)
    await editorOf(page).fill('{"success": [{"put": {"key": "once", "value": "1"}}]}')
    await runButtonOf(page).click()
    await page.getByText('It is not known whether it was written').waitFor()
    await page.getByText('Run it again without a change: then it is applied at most once.').waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.unroute('**/v1/txn*', loseAnswer)
    const again = page.waitForRequest('**/v1/txn*')
    await runButtonOf(page).click()
    tokens.push((await again).headers()['idempotency-key'])
    await page.getByText(/^Written at revision \d+, by an earlier try\.$/).waitFor()
    expect(new Set(tokens).size).toBe(1)
    expect((await kv.get('once'))?.version).toBe(1)
    await runButtonOf(page).click()
    await page.getByText(/^Written at revision \d+\.$/).waitFor()
    expect((await kv.get('once'))?.version).toBe(2)
  })

  test('a transaction that deletes asks first', async () => {
    await kv.put('folder/a', '1')
    const page = await open()
    await page.getByRole('button', { name: /^Delete a folder/ }).click()
    await page.getByText('The text has no fault.').waitFor()
    await runButtonOf(page).click()
    const question = page.getByRole('dialog', { name: 'Run a transaction that deletes?' })
    await question.getByText('all keys that begin with folder/').waitFor()
    await question.getByRole('button', { name: 'Cancel' }).click()
    expect(await kv.count()).toBe(1)
    await editorOf(page).press('Control+Enter')
    await question.getByRole('button', { name: 'Run' }).click()
    await page.getByText('Deleted 1 key: all keys that begin with folder/.').waitFor()
    expect(await kv.count()).toBe(0)
  })

  test('the page of a key leads to a transaction that writes it if it is unchanged, with its lease', async () => {
    const { id } = await kv.grantLease({ ttlMs: 60_000 })
    await kv.put('config/a', 'one', { lease: id })
    const page = await open('#/keys/config/a')
    await page.getByRole('region', { name: 'Key' }).getByRole('link', { name: 'Use in transaction' }).click()
    await page.getByText(`writes config/a = one, until lease ${id} ends`).waitFor()
    const rail = page.getByRole('navigation', { name: 'Pages' })
    expect(await rail.locator('[aria-current]').allTextContents()).toEqual(['Keys'])
    await runButtonOf(page).click()
    await page.getByText(/^Written at revision \d+\.$/).waitFor()
    expect(await kv.get('config/a')).toMatchObject({ version: 2, lease: id })
  })
})
