// Actions of a person on the stage of the lab, in Chromium: a line through the ring, and the keyboard.

import { beforeAll, expect, test } from 'vitest'
import { startKv } from '../../cli/run-kv.ts'
import { describeConsole, findBarriers, needsChromium, openPage } from '../browser.ts'

describeConsole(needsChromium('actions in the lab'), () => {
  let url: string
  beforeAll(async () => {
    const lab = startKv(['lab'])
    url = await lab.line()
    return async () => {
      lab.signal('SIGINT')
      await lab.ended
    }
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
    // The address has the fault before the stage shows it, and a key heals what is shown.
    await page.getByRole('button', { name: 'Heal: n1 and n4 are cut off' }).waitFor()
    await page.keyboard.press('h')
    await expect.poll(() => page.url()).toContain('heal,fault=partition,target=0,peer=3')
  })
})
