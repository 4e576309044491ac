// The page of the lab in Chromium, as `quorate lab` serves it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import { breakingMoment, parseRunFile } from '../../../jepsen-lite/lab/index.ts'
import { formatScheduleFile, judged } from '../../../jepsen-lite/sim/index.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'
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
    await page
      .getByText('What you do here replaces what came later: 2 actions, kept under Other futures.')
      .waitFor()
    await expect.poll(() => page.url()).toMatch(/#seed=1,at=1100;\d+:put,.*;\d+:isolate,/)

    // The address opens the same run elsewhere.
    const other = await openPage(page.url(), { colorScheme: 'dark', viewport: { width: 360, height: 780 } })
    await other
      .getByText('What you do here replaces what came later: 2 actions, kept under Other futures.')
      .waitFor()
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
    const run = join(import.meta.dirname, '../../../docs/learn/lessons/runs/read-without-round.txt')
    const page = await openPage(`${url}#${readFileSync(run, 'utf8').trim()}`)
    await page.getByRole('alert').getByText('a leader answers a read before a majority').waitFor()
    // The page runs it to its end, and goes back to its beginning.
    const moment = page.getByRole('slider', { name: 'Moment' })
    await expect.poll(() => moment.getAttribute('max')).toBe('3600')
    await page.getByText('1.48 s').waitFor()
    await moment.fill('3600')
    await page.getByText('A rule is broken, and the run ends here: READ-1').waitFor()
    await page.getByRole('button', { name: 'Check' }).click()
    await page.getByText('A rule is broken: READ-1').waitFor()
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

  test('figure 8 is opened from its file at the step where it breaks, checked and saved', async () => {
    const page = await openPage(url, { reducedMotion: 'reduce' })
    const run = join(import.meta.dirname, '../../../docs/learn/lessons/runs/commit-of-earlier-term.txt')
    const { schedule } = parseRunFile(readFileSync(run, 'utf8'))
    await loadRule(schedule.rule)
    const result = judged(schedule)
    const { trace } = result
    const detail = result.violation?.detail ?? expect.fail('no rule is broken')
    const at = breakingMoment(result, schedule.config)
    const buffer = Buffer.from(formatScheduleFile({ detail, at, schedule }))
    const file = { name: 'figure-8.json', mimeType: 'application/json', buffer }
    await page.getByLabel('File of a run').setInputFiles(file)
    await page.getByRole('status').getByText(detail).waitFor()
    await page
      .getByText(`${((at ?? 0) / 1000).toFixed(2)} s`, { exact: true })
      .first()
      .waitFor()
    await page.getByRole('button', { name: 'Play' }).click()
    await page.getByRole('alert').getByText(detail).waitFor()
    await page.getByRole('button', { name: 'Check' }).click()
    await page.getByRole('dialog').getByText(trace).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Go to the step where it breaks' }).click()
    await page.getByRole('alert').getByText(detail).waitFor({ state: 'detached' })
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Save' }).click()
    const saved = await (await download).path()
    expect(parseRunFile(readFileSync(saved, 'utf8')).schedule).toEqual(schedule)
    await page.getByLabel('File of a run').setInputFiles({ ...file, buffer: Buffer.from('no run') })
    await page.getByRole('alert').getByText('The file has no run that can be opened').waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('an address without a run says what is wrong, and offers a new one', async () => {
    const page = await openPage(`${url}#seed=1;12:putt`)
    await page.getByRole('alert').getByText('The address names no run that can be opened').waitFor()
    await page.getByRole('button', { name: 'Start a new cluster' }).click()
    await nodeWith(page, 'follower').first().waitFor()
    // On a slow machine, a moment on the way to the first election is in the address.
    expect(page.url()).toMatch(/#seed=1(,at=\d+)?$/)
  })
})
