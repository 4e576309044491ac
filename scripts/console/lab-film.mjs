// The film of the lab in README.md: a write is replicated and the leader is cut off. A write to it waits, the others
// elect, and the cut ends: the entry that waited is deleted. Then time goes back to the cut.
//
// Time stands still at a fixed moment before each action, so the film shows the same run on each machine.

const SPEED = 0.4
/** The moments of the actions, in milliseconds of virtual time. */
const AT = { write: 1_500, cut: 2_000, secondWrite: 2_500, heal: 5_600 }

export const LAB_FILM = {
  run: 'seed=1',
  height: 860,
  isReady: async (page) => {
    await page.getByText('leads term').first().waitFor()
    await page.locator('summary', { hasText: 'Logs' }).click()
    await page.evaluate(() => scrollTo(0, 0))
    await pauseAt(page, AT.write)
  },
  play,
}

async function play(page, hand) {
  const proceed = () => page.getByRole('button', { name: 'Play' }).click()
  await hand.click(page.getByRole('button', { name: 'Write', exact: true }))
  await page.getByRole('slider', { name: 'Speed' }).fill(String(Math.log10(SPEED).toFixed(1)))
  await proceed()
  await page
    .getByText(/^Entry 3 .*is committed/)
    .first()
    .waitFor()
  await pauseAt(page, AT.cut)

  await hand.click(page.getByRole('button', { name: 'Cut off the leader' }))
  await proceed()
  await pauseAt(page, AT.secondWrite)
  await hand.click(page.locator('.stage [role=button]', { hasText: 'n1' }))
  await hand.click(page.getByRole('button', { name: 'Write', exact: true }).last())
  await hand.click(page.getByRole('button', { name: 'Close', exact: true }))
  await proceed()
  await pauseAt(page, AT.heal)

  await hand.click(page.getByRole('button', { name: 'Heal' }))
  await proceed()
  await page
    .getByText(/n1 deletes/)
    .first()
    .waitFor()
  await page.getByRole('button', { name: 'Pause' }).click()
  await page.waitForTimeout(3_000)

  await page.getByRole('slider', { name: 'Moment' }).fill(String(AT.cut))
  await page.waitForTimeout(1_000)
}

/** Waits until the run has reached the moment, and stops it there. */
async function pauseAt(page, ms) {
  const moment = page.getByRole('slider', { name: 'Moment' })
  await page.waitForFunction(
    (at) => Number(document.querySelector('input[aria-label=Moment]').value) >= at,
    ms,
  )
  await page.getByRole('button', { name: 'Pause' }).click()
  await moment.fill(String(ms))
}
