// The report in a browser, opened as a file.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Page } from 'playwright-core'
import { afterAll, expect, test } from 'vitest'
import { check } from '../../../jepsen-lite/checker/index.ts'
import { findColor } from '../../../jepsen-lite/report/design.ts'
import { renderReport } from '../../../jepsen-lite/report/index.ts'
import { describeConsole, findBarriers, needsChromium, openPage } from '../../web/browser.ts'
import { get, put, Story } from '../checker/story.ts'

const folder = mkdtempSync(join(tmpdir(), 'quorate-report-page-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A leader, a fault, and operations with every outcome, one of which fits nowhere. */
function writeReport(): string {
  const story = new Story()
  story.events.push(
    { type: 'note', time: 0, what: 'role', node: 'n1', role: 'leader', term: 2 },
    { type: 'note', time: 0, what: 'role', node: 'n2', role: 'follower', term: 2 },
    { type: 'note', time: 0, what: 'inject', fault: 'isolate', nodes: ['n2'] },
  )
  story.tell(put('x', 'old'), {}).tell(put('x', 'new'), {}).tell(get('x'), { value: 'old' }, 'b')
  story.ask(put('y', '1')).fail('overloaded')
  story.ask(put('y', '2'), 'b').unknown()
  const file = join(folder, 'report.html')
  const { history } = story
  writeFileSync(file, renderReport({ history, verdict: check(history) }))
  return pathToFileURL(file).href
}

/** A simulation that failed: a process was paused, and what processes wrote. */
function writeFailedSimulation(): string {
  const story = new Story().note('start', { process: 'worker' })
  const write = (text: string) => story.note('output', { process: 'worker', stream: 'stderr', text })
  story.note('role', { node: 'n1', role: 'leader', term: 2 })
  for (let at = 0; at < 100; at++) {
    story.pass(100)
    write(`line ${at}`)
  }
  const [nodes, processes] = [[], ['worker']]
  story.note('inject', { fault: 'pause', id: 1, nodes, processes, effect: 'worker' })
  story.note('pause', { process: 'worker' }).pass(500)
  const failure = {
    ...{ code: 'always', what: '"one owner" does not hold', timeMs: 10_500, seed: 7, schedule: '' },
    steps: ['10.000 s faults: pause worker'],
  }
  const { history } = story.note('violation', { message: failure.what })
  const file = join(folder, 'simulation.html')
  writeFileSync(file, renderReport({ history, verdict: check(history), failure }))
  return pathToFileURL(file).href
}

/** How many pixels of the charts have this colour. */
const countPixels = (page: Page, colour: string): Promise<number> =>
  page.evaluate<number>(`{
    let count = 0
    for (const canvas of document.querySelectorAll('canvas')) {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
      for (let at = 0; at < data.length; at += 4)
        if ((data[at] << 16) + (data[at + 1] << 8) + data[at + 2] === 0x${colour.slice(1)}) count++
    }
    count
  }`)

describeConsole(needsChromium('the report in a browser'), () => {
  test.each(['light', 'dark'] as const)('has no barriers on %s paper', async (colorScheme) => {
    const page = await openPage(writeReport(), { colorScheme })
    await page.getByRole('button', { name: 'what fits nowhere' }).click()
    await page.getByText('How to read and use the charts').click()
    await page.getByText('the longest order ends with').waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.setViewportSize({ width: 360, height: 740 })
    expect(await findBarriers(page)).toEqual([])
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360)
  })

  test.each(['light', 'dark'] as const)(
    'of a simulation has no barriers on %s paper',
    async (colorScheme) => {
      const page = await openPage(writeFailedSimulation(), { colorScheme })
      // The lines before the failure are in view, and lead to their time.
      await expect
        .poll(() => page.evaluate("document.querySelector('#output section').scrollTop"))
        .toBeGreaterThan(0)
      await page.locator('#output button').last().click()
      await expect.poll(() => page.locator('#window').textContent()).toMatch(/^9\.\d+ s to 10\.\d+ s$/)
      await expect.poll(() => countPixels(page, findColor('down')[colorScheme])).toBeGreaterThan(100)
      await page.getByText('The last steps').click()
      expect(await findBarriers(page)).toEqual([])
      await page.setViewportSize({ width: 360, height: 740 })
      expect(await findBarriers(page)).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360)
    },
  )

  test('draws in the colours of the theme, and prints on light paper', async () => {
    const page = await openPage(writeReport(), { colorScheme: 'dark' })
    const { light, dark } = findColor('leader')
    await expect.poll(() => countPixels(page, dark)).toBeGreaterThan(1_000)
    await page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(await countPixels(page, light)).toBeGreaterThan(1_000)
    expect(await countPixels(page, dark)).toBe(0)
    await page.evaluate("dispatchEvent(new Event('afterprint'))")
    await expect.poll(() => countPixels(page, dark)).toBeGreaterThan(1_000)
    await page.emulateMedia({ colorScheme: 'light' })
    await expect.poll(() => countPixels(page, light)).toBeGreaterThan(1_000)
  })
})
