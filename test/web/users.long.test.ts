// Users, roles and logins: rights are checked, over TLS, or not yet.

import { beforeAll, expect, test } from 'vitest'
import type { Client, EmbeddedCluster } from '../../src/index.ts'
import {
  consoleUrl,
  describeConsole,
  findBarriers,
  logIn,
  needsChromium,
  openPage,
  startConsoleCluster,
} from './browser.ts'

const PASSWORD = 'correct horse battery'

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

  test('an unauthenticated user is asked once, and sees the page after the login', async () => {
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
    const refusal = 'user "bob" needs the role root, or the permission admin.'
    await page.getByText(`Users and roles are not shown: ${refusal}`).waitFor()
    for (const [tab, shown] of [
      ['Members', '1 voter, which survives no failure.'],
      ['Settings', 'All nodes apply the same settings.'],
      ['Backups', 'The cluster makes no backups by itself'],
      ['History', 'The oldest revision cannot be read: user "bob" may not read'],
    ] as const) {
      await page.getByRole('link', { name: tab, exact: true }).click()
      await page.getByText(`You may look, and change nothing here: ${refusal}`).waitFor()
      await page.getByText(shown).first().waitFor()
      expect(await page.getByRole('main').getByRole('button').allTextContents()).toEqual(
        tab === 'Backups' ? ['Copy', 'Copy'] : [],
      )
      expect(await findBarriers(page)).toEqual([])
    }
  })

  test('a right that ends while a dialog is open is missed there, and nothing is changed', async () => {
    await root.roles.put('operator', [{ access: 'admin' }])
    await root.users.put('eve', { password: PASSWORD, roles: ['operator'] })
    const page = await open('#/operation/settings')
    await logIn(page, 'eve', PASSWORD)
    await page.getByRole('button', { name: 'Change leases_max' }).click()
    await root.users.put('eve', { roles: [] })
    const dialog = page.getByRole('dialog', { name: 'Change leases_max' })
    await dialog.getByRole('textbox', { name: 'Value' }).fill('5')
    await dialog.getByRole('button', { name: 'Change', exact: true }).click()
    await dialog
      .getByText('Nothing was changed: user "eve" needs the role root, or the permission admin.')
      .waitFor()
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
    expect(await findBarriers(page)).toEqual([])
  })

  test('passwords are changed: of another user, and the own one with that until now', async () => {
    await root.users.put('dan', { password: PASSWORD, roles: ['root'] })
    await root.users.put('fay', { password: PASSWORD })
    const page = await open()
    await logIn(page, 'dan', PASSWORD)
    await page.getByRole('button', { name: 'Password of fay' }).click()
    const other = page.getByRole('dialog', { name: 'New password of fay' })
    await other.getByRole('textbox', { name: 'New password' }).fill('short')
    await other.getByRole('button', { name: 'Change the password' }).click()
    await other.getByText('Nothing was changed').waitFor()
    await other.getByRole('textbox', { name: 'New password' }).fill(`${PASSWORD} of fay`)
    await other.getByRole('button', { name: 'Change the password' }).click()
    await page.getByText('fay has a new password.').waitFor()
    await page.getByRole('button', { name: 'Password of dan' }).click()
    const own = page.getByRole('dialog', { name: 'New password of dan' })
    await own.getByRole('textbox', { name: 'Password until now' }).fill('wrong horse battery')
    await own.getByRole('textbox', { name: 'New password' }).fill(`${PASSWORD} of dan`)
    await own.getByRole('button', { name: 'Change the password' }).click()
    await own.getByText('Nothing was changed').waitFor()
    expect(await findBarriers(page)).toEqual([])
    await own.getByRole('textbox', { name: 'Password until now' }).fill(PASSWORD)
    await own.getByRole('button', { name: 'Change the password' }).click()
    await page.getByText('The login of dan has ended.').first().waitFor()
    await logIn(page, 'dan', `${PASSWORD} of dan`)
    await page.getByRole('button', { name: 'Log out dan' }).waitFor()
    for (const name of ['fay', 'dan']) await root.users.delete(name)
  })

  test('the roles of a user change, and a role is deleted when its name is typed', async () => {
    await root.roles.put('old', [{ access: 'read', all: true }])
    await root.users.put('gus', { password: PASSWORD })
    const gus = cluster.client({ user: 'gus', password: PASSWORD })
    const page = await open()
    await logIn(page, 'root', PASSWORD)
    await page.getByRole('row', { name: /^gus none: may only change their own password/ }).waitFor()
    await page.getByRole('button', { name: 'Roles of gus' }).click()
    await page.getByRole('checkbox', { name: 'old' }).check()
    await page.getByRole('button', { name: 'Change the roles' }).click()
    await page.getByText('gus has the roles old now.').waitFor()
    await gus.get('any')
    await page.getByRole('button', { name: 'Delete old' }).click()
    const dialog = page.getByRole('dialog', { name: 'Delete the role old?' })
    await dialog.getByText('Users with this role: gus. Its rights end at once.').waitFor()
    const button = dialog.getByRole('button', { name: 'Delete old' })
    expect(await button.isDisabled()).toBe(true)
    await dialog.getByRole('textbox', { name: 'Type old to confirm' }).fill('old')
    await button.click()
    await page.getByText('The role old is gone.').waitFor()
    await expect(gus.get('any')).rejects.toThrow('may not read')
    await root.users.delete('gus')
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
