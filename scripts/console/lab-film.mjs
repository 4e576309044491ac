// The film of the lab in README.md: a write is replicated and the leader is cut off. A write to it waits, the others
// elect, and the cut ends: the entry that waited is replaced. Then time goes back to the moment of the cut.

const SPEED = 0.3
/** The virtual time at which the cut has begun, in milliseconds. */
const CUT_MS = 2_600

export const LAB_FILM = {
  run: 'seed=1',
  height: 860,
  isReady: async (page) => {
    await page.getByText('leads term').first().waitFor()
    await page.locator('summary', { hasText: 'Logs' }).click()
    await page.evaluate(() => scrollTo(0, 0))
  },
  play,
}

async function play(page, hand) {
  await page.waitForTimeout(2_000)
  await hand.click(page.getByRole('button', { name: 'Write', exact: true }))
  await page.getByText('Entry 3 is committed').first().waitFor()
  await page.getByRole('slider', { name: 'Speed' }).fill(String(Math.log10(SPEED).toFixed(1)))
  await page.waitForTimeout(1_500)

  await hand.click(page.getByRole('button', { name: 'Cut off the leader' }))
  await page.waitForTimeout(1_000)
  await hand.click(page.locator('.stage [role=button]', { hasText: 'n1' }))
  await hand.click(page.getByRole('button', { name: 'Write', exact: true }).last())
  await hand.click(page.getByRole('button', { name: 'Close', exact: true }))
  await page
    .getByText(/n[2-5] leads term/)
    .first()
    .waitFor()
  await page.waitForTimeout(4_000)

  await hand.click(page.getByRole('button', { name: 'Heal' }).first())
  await page
    .getByText(/n1 deletes/)
    .first()
    .waitFor()
  await page.waitForTimeout(4_000)

  const moment = page.getByRole('slider', { name: 'Moment' })
  await moment.fill(String(CUT_MS))
  await page.waitForTimeout(2_000)
}
