// The film of the console at the beginning of README.md: a leader is killed, clients wait for an election, the links of
// the next leader are cut and healed, a key is changed, and its history shows the change.

export const CONSOLE_FILM = {
  isReady: async (page) => {
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    // The charts begin with some points.
    await page.waitForTimeout(15_000)
  },
  play,
}

async function play(page, hand) {
  await page.waitForTimeout(2_000)
  await hand.click(page.getByRole('link', { name: 'Faults' }))
  await page.waitForTimeout(2_500)

  const leader = await findLeader(page)
  await hand.click(page.getByRole('button', { name: `Kill ${leader}` }))
  await page.getByRole('button', { name: `Start ${leader}` }).waitFor()
  const next = await findLeader(page, leader)
  await page.waitForTimeout(2_500)
  await hand.click(page.getByRole('button', { name: `Start ${leader}` }))
  await page.getByRole('button', { name: `Kill ${leader}` }).waitFor()
  await page.waitForTimeout(2_000)

  for (const to of ['n1', 'n2', 'n3'].filter((name) => name !== next))
    await hand.click(page.getByRole('button', { name: `open: from ${next} to ${to}. Cut it` }))
  await findLeader(page, next)
  await page.waitForTimeout(3_000)
  await hand.click(page.getByRole('button', { name: 'Heal all links' }))
  await page.waitForTimeout(3_500)

  await hand.click(page.getByRole('link', { name: 'Keys' }))
  for (const name of ['config/', 'shop/', 'limits']) await hand.click(page.getByRole('treeitem', { name }))
  await hand.click(page.getByRole('button', { name: 'Edit' }))
  const value = page.getByRole('textbox', { name: 'Value' })
  await page.waitForTimeout(700)
  await value.fill((await value.inputValue()).replace('400', '500'))
  await page.waitForTimeout(1_200)
  await hand.click(page.getByRole('button', { name: 'Write', exact: true }))
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.waitForTimeout(1_000)
  await hand.click(page.getByRole('link', { name: 'History' }))
  await page.waitForTimeout(1_500)
}

/** Waits until the picture of the cluster shows one leader, other than `old`. */
async function findLeader(page, old) {
  const leads = (
    await page.waitForFunction((not) => {
      const nodes = [...document.querySelectorAll('.ring-node')]
      const names = nodes
        .filter((node) => node.querySelector('.ring-role')?.textContent === 'leader')
        .map((node) => node.querySelector('.ring-name')?.textContent)
      return names.find((name) => name !== not)
    }, old)
  ).jsonValue()
  return leads
}
