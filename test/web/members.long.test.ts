// Members on the page of operation.

import { beforeAll, expect, test } from 'vitest'
import type { EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

describeConsole(needsChromium('the members'), () => {
  let cluster: EmbeddedCluster
  beforeAll(async () => {
    cluster = await startConsoleCluster()
  })
  /** On a busy machine the page may take a slow node for a lost one, and go to another. */
  const open = async () =>
    openPage(consoleUrl(await cluster.waitForLeader(), '#/operation/members'), {
      otherOrigins: cluster.endpoints,
    })

  test('the leadership goes to the voter that was chosen', async () => {
    const { name: before } = await cluster.waitForLeader()
    const page = await open()
    const after = before === 'n1' ? 'n2' : 'n1'
    await page.getByRole('button', { name: `Make leader: ${after}` }).click()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('dialog').getByRole('button', { name: 'Transfer leadership' }).click()
    await page
      .getByRole('status')
      .filter({ hasText: `${after} leads now.` })
      .waitFor()
    await page.getByRole('row', { name: new RegExp(`^${after} leader`) }).waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('the dialog has the command by which a node joins', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Add a member' }).click()
    const dialog = page.getByRole('dialog', { name: 'Add a member' })
    const command = dialog.locator('.command code')
    expect(await command.textContent()).toContain(`--join ${cluster.endpoints.toSorted().join(',')}`)
    await dialog.getByRole('textbox', { name: 'Name' }).fill('berlin')
    expect(await command.textContent()).toContain('--name berlin')
    expect(await findBarriers(page)).toEqual([])
  })

  test('a replica that is added by hand is a learner, and goes without its name being typed', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Add a member' }).click()
    const dialog = page.getByRole('dialog', { name: 'Add a member' })
    await dialog.getByRole('button', { name: 'by hand' }).click()
    for (const [label, text] of [
      ['Name', 'n9'],
      ['Replica id', '987654321'],
      ['Address for other nodes', '127.0.0.1'],
      ['URL for clients', 'http://127.0.0.1:9'],
    ] as const)
      await dialog.getByRole('textbox', { name: label }).fill(text)
    await dialog.getByRole('button', { name: 'Add', exact: true }).click()
    await dialog.getByText('HOST:PORT is needed').waitFor()
    await dialog.getByRole('textbox', { name: 'Address for other nodes' }).fill('127.0.0.1:9')
    await dialog.getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByText('n9 is a learner now').waitFor()
    await page.getByRole('row', { name: /^n9 .* not yet/ }).waitFor()
    await page.getByRole('button', { name: 'Remove n9' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Remove n9' }).click()
    await page.getByText('n9 is no longer a member.').waitFor()
    await expect.poll(() => page.getByRole('row').count()).toBe(4)
  })

  test('a voter is removed when its name is typed, and who is left is said', async () => {
    const { name: leader } = await cluster.waitForLeader()
    const page = await open()
    const gone = leader === 'n3' ? 'n2' : 'n3'
    await page.getByRole('button', { name: `Remove ${gone}` }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('Without it there are 2 voters, which survive no failure.').waitFor()
    const remove = dialog.getByRole('button', { name: `Remove ${gone}` })
    expect(await remove.isDisabled()).toBe(true)
    await dialog.getByRole('textbox', { name: `Type ${gone} to confirm` }).fill(gone)
    await remove.click()
    await page.getByText(`${gone} is no longer a member.`).waitFor()
    await page.getByText('2 voters, which survive no failure.').waitFor()
  })
})
