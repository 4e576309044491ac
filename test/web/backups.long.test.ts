// Backups and the history on the page of operation.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Client, type EmbeddedCluster, startNode } from '../../src/index.ts'
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

  test('where the browser can, the file is written while it arrives, and only if the user chooses one', async () => {
    for (const at of [1, 2, 3]) await kv.put(`saved/${at}`, 'y'.repeat(1_000_000))
    const page = await open('#/overview')
    // A file of the origin in place of one that the dialog of the browser would make: it has the same methods.
    await page.evaluate(`{
      let isChosen = false
      globalThis.showSaveFilePicker = async ({ suggestedName }) => {
        if (!isChosen) {
          isChosen = true
          throw new DOMException('The user aborted a request.', 'AbortError')
        }
        globalThis.suggested = suggestedName
        return (await navigator.storage.getDirectory()).getFileHandle('store.backup', { create: true })
      }
      globalThis.readSaved = async () => {
        const directory = await navigator.storage.getDirectory()
        return (await (await directory.getFileHandle('store.backup')).getFile()).size
      }
    }`)
    await page.getByRole('link', { name: 'Operation' }).click()
    await page.getByRole('link', { name: 'Backups' }).click()
    await page.getByText('writes the file while it arrives').waitFor()
    const button = page.getByRole('button', { name: 'Make a backup and save it' })
    await button.click()
    expect(await page.getByText('There is no file').count()).toBe(0)
    await page.getByRole('checkbox', { name: 'With the versions that were replaced' }).uncheck()
    await button.click()
    await page.getByText(/store\.backup is saved: /).waitFor()
    expect(await page.evaluate('suggested')).toMatch(/^quorate-.*Z\.backup$/)
    const answered = await fetch(`${(await cluster.waitForLeader()).url}/v1/backup?history=false`)
    expect(await page.evaluate('readSaved()')).toBe((await answered.arrayBuffer()).byteLength)
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

describeConsole(needsChromium('scheduled backups'), () => {
  test('the age of the last one and the time of the next one are said', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'quorate-scheduled-'))
    const HOST = { host: '127.0.0.1', port: 0 }
    const node = await startNode({
      ...{
        name: 'n1',
        dataDir: join(directory, 'data'),
        listen: HOST,
        peerListen: HOST,
        diskReserveBytes: 0,
      },
      founding: { kind: 'bootstrap' },
      backup: { to: join(directory, 'backups'), everyMs: 120_000, keep: 3 },
    })
    onTestFinished(async () => {
      await node.stop()
      await rm(directory, { recursive: true })
    })
    const page = await openPage(consoleUrl(node, '#/operation/backups'))
    await page
      .getByText(/The newest one is \d+ m?s old\. The next one is due in \d+ s: n1 makes one every 2 min\./)
      .waitFor()
    await page.getByRole('row', { name: /^n1 yes \d+ (m?s) old 0$/ }).waitFor()
    expect(await findBarriers(page)).toEqual([])
  })
})
