// The page of the lab in Chromium, as `quorate lab` serves it.

import { readFileSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { labSchedule } from '../../../jepsen-lite/lab/index.ts'
import { parseSchedule } from '../../../jepsen-lite/sim/index.ts'
import { startKv } from '../../cli/run-kv.ts'
import { describeConsole, findBarriers, needsChromium, openPage } from '../browser.ts'

describeConsole(needsChromium('the lab'), () => {
  let url: string
  beforeAll(async () => {
    const lab = startKv(['lab'])
    url = await lab.line()
    return async () => {
      lab.signal('SIGINT')
      await lab.ended
    }
  })

  const nodeWith = (page: Page, state: string) =>
    page
      .getByRole('group', { name: 'The cluster' })
      .getByRole('button', { name: new RegExp(`^n\\d ${state} `) })
  const speed = (page: Page, power: string) => page.getByRole('slider', { name: 'Speed' }).fill(power)

  test('elects a leader, acknowledges a write, loses the leader, and goes back', async () => {
    const page = await openPage(url, { colorScheme: 'light' })
    await speed(page, '0')
    await nodeWith(page, 'leader').waitFor()
    await page.getByRole('button', { name: 'Write' }).click()
    await page.getByText('applied', { exact: true }).waitFor()
    await page.keyboard.press('c')
    await page
      .getByText(/^n\d leads term [3-9]: the votes of /)
      .first()
      .waitFor()
    await page.keyboard.press('Space')
    await page.getByRole('button', { name: 'Play' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
    const moment = page.getByRole('slider', { name: 'Moment' })
    await moment.fill('1100')
    await expect.poll(() => nodeWith(page, 'leader').count()).toBe(0)
    await page.getByText('What you do here forgets what came later: 2 actions.').waitFor()
    await expect.poll(() => page.url()).toMatch(/#seed=1,at=1100;\d+:put,.*;\d+:isolate,/)

    // The address opens the same run elsewhere.
    const other = await openPage(page.url(), { colorScheme: 'dark', viewport: { width: 360, height: 780 } })
    await other.getByText('What you do here forgets what came later: 2 actions.').waitFor()
    await other.getByText('1.10 s').waitFor()
    expect(await other.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0)
    expect(await findBarriers(other)).toEqual([])
  })

  test('a message is picked with the keyboard and lost', async () => {
    const page = await openPage(`${url}#seed=7;3000:put,client=0,node=leader,key=0,x=41`, {
      reducedMotion: 'reduce',
    })
    const cluster = page.getByRole('group', { name: 'The cluster' })
    await page.getByText('2.88 s').waitFor()
    await page.getByRole('slider', { name: 'Moment' }).fill('3010')
    await cluster.getByRole('button', { name: 'append, entry 3, from n5 to n1, term 2' }).press('Enter')
    await page.getByRole('button', { name: 'Lose it' }).click()
    await cluster.getByRole('button', { name: /it will be lost$/ }).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Undo the message' }).click()
    await expect.poll(() => page.url()).not.toContain('message')
  })

  test('a run with a wrong rule says which, and shows what breaks', async () => {
    const page = await openPage(
      `${url}#seed=7,rule=acknowledged-before-durable;3000:put,client=0,node=leader,key=0,x=41`,
    )
    await page.getByRole('alert').getByText('a follower acknowledges an entry before').waitFor()
    await page.getByText('A rule is broken, and the run ends here: RAFT-').waitFor()
    await page.getByRole('button', { name: 'Check' }).click()
    await page.getByText('A rule is broken: RAFT-').waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.keyboard.press('Escape')
    await page.goto(`${url}#seed=7`)
    await page.getByText('a rule of Raft is wrong').waitFor({ state: 'detached' })
  })

  test('shows the stores, the verdict, and what happens before what', async () => {
    const page = await openPage(`${url}#seed=7;4001:put,client=0,node=1,key=0,x=41`, {
      reducedMotion: 'reduce',
    })
    await page.getByText('3.88 s').waitFor()
    await page.getByRole('slider', { name: 'Moment' }).fill('4125')
    await page.getByText('Stores', { exact: true }).click()
    await page.getByRole('row', { name: /n1.*behind/ }).waitFor()
    await page.getByText('Space and time').click()
    await page.getByRole('button', { name: /^4\.001 s: c1 asks n2/ }).focus()
    await page.keyboard.press('ArrowRight')
    await page.getByText(/^\d+ events? before it, \d+ after it/).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('slider', { name: 'Moment' }).fill('4400')
    await page.getByText('Linearizable so far').waitFor()
  })

  test('a file is opened at the step where its run breaks, checked and saved', async () => {
    const page = await openPage(url, { reducedMotion: 'reduce' })
    const schedule = labSchedule(3, {
      ...{ nodes: 2, spares: 0, ms: 1000, delayMs: 3000, electionMinMs: 800, electionMaxMs: 1500 },
    })
    const detail = 'LIVE-1: n1 n2 did not converge: no leader'
    const buffer = Buffer.from(JSON.stringify({ detail, at: 99_000.5, schedule }))
    const file = { name: 'sim-live-1.json', mimeType: 'application/json', buffer }
    await page.getByLabel('File of a run').setInputFiles(file)
    await page.getByRole('status').getByText(detail).waitFor()
    await page.getByText('99.00 s', { exact: true }).first().waitFor()
    await page.getByRole('button', { name: 'Check' }).click()
    await page.getByRole('button', { name: 'Go to the step where it breaks' }).click()
    await page.getByRole('button', { name: 'Play' }).waitFor()
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Save' }).click()
    const saved = await (await download).path()
    expect(parseSchedule(readFileSync(saved, 'utf8'))).toEqual(schedule)
    await page.getByLabel('File of a run').setInputFiles({ ...file, buffer: Buffer.from('no run') })
    await page.getByRole('alert').getByText('The file has no run that can be opened').waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('a line through the ring parts the cluster, and the fault is healed', async () => {
    const page = await openPage(`${url}#seed=7;4000:put,client=0,node=leader,key=0,x=41`, {
      reducedMotion: 'reduce',
    })
    await page.getByText('3.88 s').waitFor()
    const cluster = page.getByRole('group', { name: 'The cluster' })
    const { x, y, width, height } = (await cluster.boundingBox()) ?? expect.fail()
    await page.mouse.move(x + width * 0.6, y + 10)
    await page.mouse.down()
    await page.mouse.move(x + width * 0.6, y + height - 10, { steps: 3 })
    await page.mouse.up()
    await page.getByRole('button', { name: 'Heal: n2 and n3 are cut off' }).click()
    await expect.poll(() => page.url()).toContain('heal,fault=partition,target=1,peer=2')

    // The same with the keyboard: n1 and n4 on one side.
    await cluster.getByRole('button', { name: /^n4/ }).press('Shift+Enter')
    await cluster.getByRole('button', { name: /^n1/ }).press('Enter')
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Cut these off from the others' }).press('Enter')
    await expect.poll(() => page.url()).toContain('partition,side=(0+3),ms=3000')
    await page.keyboard.press('h')
    await expect.poll(() => page.url()).toContain('heal,fault=partition,target=0,peer=3')
  })

  test('an address without a run says what is wrong, and offers a new one', async () => {
    const page = await openPage(`${url}#seed=1;12:putt`)
    await page.getByRole('alert').getByText('The address names no run that can be opened').waitFor()
    await page.getByRole('button', { name: 'Start a new cluster' }).click()
    await nodeWith(page, 'follower').first().waitFor()
    expect(page.url()).toMatch(/#seed=1$/)
  })
})
