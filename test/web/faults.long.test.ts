// The console of a local cluster: faults by click, and what clients saw of them.

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { consolePage } from '../../src/local/directory/cluster-file.ts'
import { leaderOf, Workspace } from '../local/kv.ts'
import { describeConsole, findBarriers, needsChromium, openPage } from './browser.ts'

describeConsole(needsChromium('faults of a local cluster'), () => {
  let space: Workspace
  beforeAll(async () => {
    space = await Workspace.openForFile()
    await space.start()
  })
  afterAll(() => space.close())

  /** Opens the printed address, and goes to the faults. */
  const open = async () => {
    const address = consolePage(JSON.parse(readFileSync(space.path('cluster.json'), 'utf8')).console)
    const page = await openPage(address)
    await page.getByRole('link', { name: 'Faults' }).click()
    await page.getByRole('table', { name: 'Links between nodes' }).waitFor()
    return page
  }

  test('the printed address opens it, and its token leaves the URL', async () => {
    const page = await open()
    expect(page.url()).not.toContain('token')
    await page.reload()
    await page.getByRole('button', { name: 'Kill n1' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('a link is cut one way and joined again', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'open: from n1 to n2. Cut it' }).click()
    const cut = page.getByRole('button', { name: 'cut: from n1 to n2. Join it' })
    await cut.waitFor()
    await page.getByRole('button', { name: 'open: from n2 to n1. Cut it' }).waitFor()
    await page.getByText('cut: no message of n1 reaches n2').waitFor()
    await cut.click()
    await page.getByRole('button', { name: 'open: from n1 to n2. Cut it' }).waitFor()
  })

  test('clients see the death of the leader, and write again under the next one', async () => {
    const page = await open()
    const leader = leaderOf(await space.status())
    const lane = page.locator('.lane', { has: page.getByText(leader, { exact: true }) })
    await lane.getByText('written', { exact: true }).waitFor()
    await page.getByRole('button', { name: `Kill ${leader}` }).click()
    await lane.getByText('not read').waitFor()
    await page.locator('.fault-nodes li', { hasText: leader }).getByText('killed').waitFor()
    const others = page.locator('.lane', { hasNot: page.getByText(leader, { exact: true }) })
    await others.first().getByText('written', { exact: true }).waitFor()
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.getByRole('row', { name: new RegExp(`^${leader} down`) }).waitFor()
    await page.getByRole('link', { name: 'Faults' }).click()
    await page.getByRole('button', { name: `Start ${leader}` }).click()
    await page.getByRole('button', { name: `Kill ${leader}` }).waitFor()
  })

  test('a node is paused and resumed', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Pause n2' }).click()
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.getByText(/n2 has not answered .*: its process is paused\./).waitFor()
    await page.getByText('quorate cluster resume n2').waitFor()
    await page.getByRole('link', { name: 'Faults' }).click()
    await page.getByRole('button', { name: 'Resume n2' }).click()
    await page.getByRole('button', { name: 'Pause n2' }).waitFor()
  })
})
