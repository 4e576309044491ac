// Users, roles and logins: rights are checked, over TLS, or not yet.

import type { Page } from 'playwright-core'
import { beforeAll, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

const PASSWORD = 'correct horse battery'

async function logIn(page: Page, user: string, password: string): Promise<void> {
  const dialog = page.getByRole('dialog', { name: 'Log in' })
  await dialog.getByRole('textbox', { name: 'User' }).fill(user)
  await dialog.getByRole('textbox', { name: 'Password' }).fill(password)
  await dialog.getByRole('button', { name: 'Log in' }).click()
}

describeConsole(needsChromium('users where rights are checked'), () => {
  let cluster: EmbeddedCluster
  let root: Client
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1, tls: true, auth: { rootPassword: PASSWORD } })
    root = cluster.client()
    await root.roles.put('app', [{ access: 'read', prefix: 'app/' }])
    await root.users.put('bob', { password: PASSWORD, roles: ['app'] })
  })
  const open = async (place = '#/operation/users') =>
    openPage(consoleUrl(await cluster.waitForLeader(), place), { ignoreHTTPSErrors: true })

  test('a stranger is asked once, and sees the page after the login', async () => {
    const page = await open()
    const dialog = page.getByRole('dialog', { name: 'Log in' })
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await page.getByText('Rights are checked, and nobody is logged in.').waitFor()
    await page.getByText('Rights are checked. Each request needs a user').waitFor()
    expect(await dialog.count()).toBe(0)
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('link', { name: 'Members' }).click()
    expect(await page.getByText('There is no leader').count()).toBe(0)
    await page.getByRole('link', { name: 'Users and roles' }).click()
    await page.getByRole('button', { name: 'Log in to go on' }).click()
    await logIn(page, 'root', 'wrong horse')
    await dialog.getByRole('alert').waitFor()
    await logIn(page, 'root', PASSWORD)
    await page.getByRole('row', { name: /^bob app/ }).waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('a login that has ended keeps the page, which reads again after the next one', async () => {
    await root.users.put('ann', { password: PASSWORD, roles: ['root'] })
    const page = await open()
    await logIn(page, 'ann', PASSWORD)
    await page.getByRole('button', { name: 'Grant: app' }).click()
    const grant = page.getByRole('dialog', { name: 'Grant the role app a right' })
    await grant.getByRole('textbox', { name: 'Beginning' }).fill('half/typed/')
    await root.users.put('ann', { password: `${PASSWORD} 2` })
    await page.getByText('The login of ann has ended.').first().waitFor()
    await logIn(page, 'ann', `${PASSWORD} 2`)
    await page.getByRole('button', { name: 'Log out ann' }).waitFor()
    expect(await grant.getByRole('textbox', { name: 'Beginning' }).inputValue()).toBe('half/typed/')
    await grant.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('button', { name: 'Log out ann' }).click()
    await page.getByRole('dialog', { name: 'Log in' }).waitFor()
    expect(await page.getByText('app/').count()).toBe(0)
    await root.users.delete('ann')
  })

  test('whoever lacks the right sees which one, and nothing is changed', async () => {
    const page = await open()
    await logIn(page, 'bob', PASSWORD)
    await page.getByText('Users and roles are not shown: user "bob" needs the role root').waitFor()
    await page.getByRole('link', { name: 'Settings' }).click()
    await page.getByRole('button', { name: 'Change leases_max' }).click()
    await page.getByRole('textbox', { name: 'Value' }).fill('5')
    await page.getByRole('dialog').getByRole('button', { name: 'Change', exact: true }).click()
    await page
      .getByText('Nothing was changed: user "bob" needs the role root, or the permission admin.')
      .waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    expect(await findBarriers(page)).toEqual([])
  })

  test('a role and its user are made, and two administrators do not undo each other', async () => {
    const page = await open()
    await logIn(page, 'root', PASSWORD)
    await page.getByRole('button', { name: 'Add a role' }).click()
    await page.getByRole('dialog').getByRole('textbox', { name: 'Name' }).fill('shop')
    await page.getByRole('dialog').getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByRole('button', { name: 'Grant: shop' }).click()
    const grant = page.getByRole('dialog', { name: 'Grant the role shop a right' })
    await grant.getByRole('combobox', { name: 'It' }).selectOption('readwrite')
    await grant.getByRole('textbox', { name: 'Beginning' }).fill('shop/')
    await root.roles.put('shop', [{ access: 'read', key: 'config' }])
    await grant.getByRole('button', { name: 'Grant' }).click()
    await grant.getByText('somebody else has changed users or roles meanwhile').waitFor()
    await page.getByText('may read the key config').waitFor()
    await grant.getByRole('button', { name: 'Grant' }).click()
    await page.getByText('The role shop may read and write keys that begin with shop/ now.').waitFor()
    await page.getByRole('button', { name: 'Add a user' }).click()
    const user = page.getByRole('dialog', { name: 'Add a user' })
    await user.getByRole('textbox', { name: 'Name' }).fill('carl')
    await user.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
    await user.getByRole('checkbox', { name: 'shop' }).check()
    await user.getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByRole('row', { name: /^carl shop password/ }).waitFor()
    const carl = cluster.client({ user: 'carl', password: PASSWORD })
    await carl.put('shop/a', '1')
    await page
      .getByRole('button', { name: 'Take away: may read and write keys that begin with shop/' })
      .click()
    await page.getByRole('dialog').getByRole('button', { name: 'Take away' }).click()
    await page.getByText('Taken away from the role shop').waitFor()
    await expect(carl.put('shop/a', '2')).rejects.toThrow('may not write')
    await page.getByRole('button', { name: 'Delete carl' }).click()
    await page.getByRole('textbox', { name: 'Type carl' }).fill('carl')
    await page.getByRole('dialog').getByRole('button', { name: 'Delete carl' }).click()
    await page.getByText('carl is no user any more.').waitFor()
  })
})

describeConsole(needsChromium('users where rights are not checked'), () => {
  let cluster: EmbeddedCluster
  beforeAll(async () => {
    cluster = await startConsoleCluster({ nodes: 1 })
  })

  test('rights are checked when there is root, and no longer after another confirmation', async () => {
    const page = await openPage(consoleUrl(await cluster.waitForLeader(), '#/operation/users'))
    await page.getByText('Rights are not checked. Everybody who can connect').waitFor()
    await page.getByRole('button', { name: 'Check rights' }).click()
    await page.getByText('It needs a user root with the role root').waitFor()
    await page.getByRole('button', { name: 'Close' }).click()
    await page.getByRole('button', { name: 'Add a user' }).click()
    await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
    await page.getByRole('dialog').getByRole('button', { name: 'Add', exact: true }).click()
    await page.getByRole('row', { name: /^root root password/ }).waitFor()
    await page.getByRole('button', { name: 'Check rights' }).click()
    await page.getByRole('textbox', { name: 'Type enable' }).fill('enable')
    await page.getByRole('dialog').getByRole('button', { name: 'Check rights' }).click()
    await logIn(page, 'root', PASSWORD)
    await page.getByText('Each request needs a user').waitFor()
    await page.getByRole('button', { name: 'Check rights no longer' }).click()
    await page.getByRole('textbox', { name: 'Type disable' }).fill('disable')
    await page.getByRole('button', { name: 'Check no longer' }).click()
    await page.getByText('Rights are not checked.').waitFor()
    expect(await findBarriers(page)).toEqual([])
  })
})
