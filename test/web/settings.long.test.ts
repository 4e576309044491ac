// Settings on the page of operation.

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

describeConsole(needsChromium('the settings'), () => {
  let cluster: EmbeddedCluster
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
  })
  const open = async () => openPage(consoleUrl(await cluster.waitForLeader(), '#/operation/settings'))
  const stored = async (name: string) => (await cluster.client().settings())[name]

  test('a value is typed with its unit, and refused beyond its range', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Change value_bytes_max' }).click()
    const value = page.getByRole('dialog').getByRole('textbox', { name: 'Value' })
    await value.fill('2 MiB')
    await page.getByText('Allowed: 0 B to 1,536 KiB').waitFor()
    await value.fill('64 KiB')
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('dialog').getByRole('button', { name: 'Change', exact: true }).click()
    await page.getByText('value_bytes_max is 64 KiB now.').waitFor()
    await page.getByRole('listitem').filter({ hasText: 'default 1 MiB' }).waitFor()
    expect(await stored('value_bytes_max')).toBe(65_536)
    expect(await findBarriers(page)).toEqual([])
  })

  test('a setting that somebody else has changed meanwhile is left alone, and both values are said', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Change key_bytes_max' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('textbox', { name: 'Value' }).fill('2 KiB')
    await cluster.client().changeSettings({ key_bytes_max: 1024 })
    const change = dialog.getByRole('button', { name: 'Change', exact: true })
    await change.click()
    await dialog.getByText('somebody else has set it to 1 KiB meanwhile, and you chose 2 KiB').waitFor()
    expect(await stored('key_bytes_max')).toBe(1024)
    expect(await findBarriers(page)).toEqual([])
    await change.click()
    await page.getByText('key_bytes_max is 2 KiB now.').waitFor()
    expect(await stored('key_bytes_max')).toBe(2048)
  })

  test('a limit that ends history needs its name typed', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Change history_age_ms' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('textbox', { name: 'Value' }).fill('30 min')
    const button = dialog.getByRole('button', { name: 'Change', exact: true })
    expect(await button.isDisabled()).toBe(true)
    await dialog.getByRole('textbox', { name: 'Type history_age_ms' }).fill('history_age_ms')
    await button.click()
    await page.getByText('history_age_ms is 30 min now.').waitFor()
    expect(await stored('history_age_ms')).toBe(1_800_000)
  })

  test('leader leases are turned on with their risk, and off without', async () => {
    const page = await open()
    await page.getByRole('button', { name: 'Change leases.on' }).click()
    await page.getByText('such a read may be stale if the clock').waitFor()
    await page.getByRole('textbox', { name: 'Type leases' }).fill('leases')
    await page.getByRole('button', { name: 'Turn on' }).click()
    await page.getByText('Leader leases are on now.').waitFor()
    expect(await stored('leases')).toMatchObject({ on: true })
    await page.getByRole('button', { name: 'Change leases.on' }).click()
    await page.getByRole('button', { name: 'Turn off' }).click()
    await page.getByText('Leader leases are off now.').waitFor()
  })
})
