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
    await page.getByText('n9 is a member now').waitFor()
    await page.getByText('A learner becomes a voter by itself when its log has caught up').waitFor()
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

describeConsole(needsChromium('members of which one has lost its data'), () => {
  let cluster: EmbeddedCluster
  beforeAll(async () => {
    cluster = await startConsoleCluster()
  })

  test('a voter is replaced when its name is typed, by a replica that must catch up first', async () => {
    const leader = await cluster.waitForLeader()
    const lost = leader.name === 'n3' ? 'n2' : 'n3'
    const page = await openPage(consoleUrl(leader, '#/operation/members'), {
      otherOrigins: cluster.endpoints,
    })
    await page.getByRole('button', { name: `Replace ${lost}` }).click()
    const dialog = page.getByRole('dialog', { name: `Replace ${lost}` })
    await dialog.getByText('For a node that has lost its data').waitFor()
    await dialog.getByText('there are 2 voters, which survive no failure.').waitFor()
    expect(await dialog.locator('.command code').textContent()).toMatch(/--join \S+ --replace$/)
    expect(await findBarriers(page)).toEqual([])
    await dialog.getByRole('button', { name: 'by hand' }).click()
    for (const [label, text] of [
      ['Replica id', '987654321'],
      ['Address for other nodes', '127.0.0.1:9'],
      ['URL for clients', 'http://127.0.0.1:9'],
    ] as const)
      await dialog.getByRole('textbox', { name: label }).fill(text)
    const replace = dialog.getByRole('button', { name: `Replace ${lost}` })
    expect(await replace.isDisabled()).toBe(true)
    await dialog.getByRole('textbox', { name: `Type ${lost} to confirm` }).fill(lost)
    await replace.click()
    await page.getByText(`${lost} is gone, and the replica 987654321 has come in its place.`).waitFor()
    await page.getByRole('row', { name: new RegExp(`^${lost} down not yet`) }).waitFor()
    await page.getByText('2 voters, which survive no failure.').waitFor()
    const members = await cluster.client().members()
    expect(members.find(({ name }) => name === lost)).toMatchObject({
      role: 'learner',
      url: 'http://127.0.0.1:9',
    })
  })
})
