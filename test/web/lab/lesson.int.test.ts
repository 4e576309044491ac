// A lesson in Chromium, from a file: a prediction, a task, and the way to a run of one's own and back.

import { beforeAll, expect, test } from 'vitest'
import { startKv } from '../../cli/run-kv.ts'
import { describeConsole, findBarriers, needsChromium, openPage } from '../browser.ts'

const LESSON = {
  ...{ title: 'Who leads?', summary: 'A leader is cut off.', minutes: 2, run: 'seed=1' },
  steps: [
    { kind: 'see', from: 300, until: 900, text: 'Nobody leads.' },
    {
      kind: 'predict',
      question: 'Who will lead?',
      until: 1300,
      choices: [
        { text: 'The first node, `n1`.', when: ['leader = n1'], reply: 'Its timer runs out first.' },
        { text: 'The last one.', when: ['leader = n5'], reply: 'Names decide nothing.' },
      ],
    },
    {
      kind: 'break',
      until: 6000,
      task: 'Let another node lead.',
      goal: [{ text: 'It is not n1.', fact: 'leaders >= 1 and leader != n1' }],
      hint: 'Cut it off.',
      solution: ['1301:isolate,target=0,ms=4000,stalls=false,refuses=false,breaks=false'],
      after: 'So it is.',
    },
  ],
}
const file = (lesson: object) => ({
  ...{ name: 'lesson.json', mimeType: 'application/json' },
  buffer: Buffer.from(JSON.stringify(lesson)),
})

describeConsole(needsChromium('lessons of the lab'), () => {
  let url: string
  beforeAll(async () => {
    const lab = startKv(['lab'])
    url = await lab.line()
    return async () => {
      lab.signal('SIGINT')
      await lab.ended
    }
  })

  test('lessons that cannot be loaded are said to be, beside a cluster that runs', async () => {
    const page = await openPage(url, { expected: /\/bundled-lessons-/ })
    await page.route('**/bundled-lessons-*', (route) => route.abort())
    await page.goto(`${url}#lesson=election,step=1`)
    await page.getByRole('dialog', { name: 'Lessons' }).getByText('Load it again').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Lessons' }).click()
    await page.getByRole('dialog', { name: 'Lessons' }).getByText('Load it again').waitFor()
    await page.getByText('There is no leader yet').waitFor()
  })

  test('a worker that cannot be loaded is said to be', async () => {
    const page = await openPage(url, { expected: /\/worker-/ })
    await page.route('**/worker-*', (route) => route.abort())
    await page.reload()
    await page.getByText('the cluster of this page does not run').waitFor()
  })

  test('a browser that keeps nothing shows the lab all the same', async () => {
    const page = await openPage(url)
    await page.addInitScript(() => {
      for (const name of ['localStorage', 'sessionStorage'])
        Object.defineProperty(globalThis, name, {
          get: () => {
            throw new Error('denied')
          },
        })
    })
    await page.reload()
    await page.getByText('leads term 2').first().waitFor()
  })

  test('a lesson from a file, with the keyboard', async () => {
    const page = await openPage(url, { reducedMotion: 'reduce', viewport: { width: 360, height: 780 } })
    await page.getByRole('button', { name: 'Lessons' }).click()
    const dialog = page.getByRole('dialog', { name: 'Lessons' })
    await dialog.getByRole('button', { name: /^An election/ }).waitFor()
    expect(await findBarriers(page)).toEqual([])
    const input = dialog.getByLabel('File of a lesson')
    await input.setInputFiles(file({ ...LESSON, minutes: 'two' }))
    await dialog.getByText('minutes: expected a number, found "two"').waitFor()
    await input.setInputFiles(file(LESSON))

    const panel = page.getByRole('region', { name: 'Who leads?' })
    await panel.getByText('Nobody leads.').waitFor()
    await page.getByText('0.90 s').first().waitFor()
    await page.keyboard.press('n')
    await panel.getByText('Step 2 of 3').waitFor()
    await panel.getByRole('radio', { name: 'The last one.' }).press('Space')
    await page.keyboard.press('Enter')
    await panel.getByRole('status').getByText('Names decide nothing.').waitFor()
    // The ring stays in view while somebody reads on below it.
    await page.getByText('Shapes and colours').scrollIntoViewIfNeeded()
    expect(await page.evaluate('scrollY')).toBeGreaterThan(0)
    expect((await page.locator('.stage').boundingBox())?.y).toBe(0)
    expect(await findBarriers(page)).toEqual([])
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0)

    await panel.getByRole('button', { name: 'Continue on your own' }).press('Enter')
    await panel.getByRole('button', { name: 'Return to the lesson' }).press('Enter')
    await panel.getByRole('button', { name: 'Predict, then see' }).waitFor()
    await panel.getByRole('button', { name: 'Step 3' }).press('Enter')
    await panel.getByText('not yet').waitFor()
    await panel.getByText('Until 6.00 s of the run.').waitFor()
    await page.getByText('1.30 s').first().waitFor()
    await page.getByRole('button', { name: 'Cut off the leader' }).press('Enter')
    await page.getByRole('slider', { name: 'Speed' }).fill('1')
    await page.getByRole('button', { name: 'Play' }).press('Enter')
    await page.getByRole('status').getByText('So it is.').waitFor()
    await panel.getByRole('button', { name: 'Finish' }).press('Enter')
    await dialog.waitFor()
    expect(page.url()).toMatch(/#seed=1[^;]*;1301:isolate/)
  })

  test('the address of a step', async () => {
    const page = await openPage(`${url}#lesson=election,step=2`, { colorScheme: 'dark' })
    await page.getByRole('region', { name: 'An election' }).getByText('Step 2 of').waitFor()
    await page.getByRole('radio').first().waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Step 1', exact: true }).click()
    await expect.poll(() => page.url()).toMatch(/#lesson=election,step=1$/)
    const other = await openPage(`${url}#lesson=nothing,step=1`)
    await other.getByText('there is no lesson nothing').waitFor()
  })
})
