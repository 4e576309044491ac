// Backups and the history on the page of operation.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

describeConsole(needsChromium('backups and history'), () => {
  let cluster: EmbeddedCluster
  let kv: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
    kv = cluster.client()
  })
  const open = async (place: string) => openPage(consoleUrl(await cluster.waitForLeader(), place))
  /** Takes away what asks the user for a file: the browser saves downloads by itself then. */
  const openBackups = async () => {
    const page = await open('#/overview')
    await page.evaluate(() => Reflect.deleteProperty(globalThis, 'showSaveFilePicker'))
    await page.getByRole('link', { name: 'Operation' }).click()
    await page.getByRole('link', { name: 'Backups' }).click()
    return page
  }

  test('a backup is saved when it is whole, and is the one that a node answers', async () => {
    await kv.put('saved', 'x'.repeat(100_000))
    const page = await openBackups()
    await page.getByText('The cluster makes no backups by itself').waitFor()
    expect(await findBarriers(page)).toEqual([])
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Make a backup and save it' }).click(),
    ])
    await page.getByText(/quorate-.*\.backup is saved: /).waitFor()
    expect(download.suggestedFilename()).toMatch(/^quorate-\d{4}-.*Z\.backup$/)
    const directory = await mkdtemp(join(tmpdir(), 'quorate-backup-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    await download.saveAs(join(directory, 'file'))
    const saved = await readFile(join(directory, 'file'))
    const answered = await fetch(`${(await cluster.waitForLeader()).url}/v1/backup`)
    expect(saved.length).toBe((await answered.arrayBuffer()).byteLength)
  })

  test('a backup that breaks off leaves no file', async () => {
    const page = await openBackups()
    await page.route('**/v1/backup', (route) => route.abort('connectionreset'))
    let downloads = 0
    page.on('download', () => downloads++)
    await page.getByRole('button', { name: 'Make a backup and save it' }).click()
    await page.getByText(/There is no file\./).waitFor()
    expect(downloads).toBe(0)
  })

  test('history is compacted to a revision that is typed twice', async () => {
    for (const value of ['1', '2', '3', '4']) await kv.put('counted', value)
    const { modRevision: last = 0 } = (await kv.get('counted')) ?? {}
    const page = await open('#/operation/history')
    await page.getByRole('button', { name: 'Compact' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('textbox', { name: 'Oldest revision to keep' }).fill(String(last - 1))
    await dialog.getByText(`from 1 to ${last - 2}.`).waitFor()
    const button = dialog.getByRole('button', { name: 'Compact' })
    expect(await button.isDisabled()).toBe(true)
    await dialog.getByRole('textbox', { name: 'to confirm' }).fill(`compact ${last - 1}`)
    await button.click()
    await page.getByText(`The store can be read from revision ${last - 1} on.`).waitFor()
    await page
      .locator('.figure', { hasText: 'Oldest revision kept' })
      .getByText(String(last - 1))
      .waitFor()
    await expect(kv.get('counted', { revision: last - 2 })).rejects.toThrow()
    expect(await findBarriers(page)).toEqual([])
  })
})
