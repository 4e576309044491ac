// The film of the console at the beginning of README.md: a leader is killed, clients wait for an election, the links of
// the next leader are cut and healed, a key is changed, and its history shows the change.

import { statSync } from 'node:fs'
import sharp from 'sharp'

const WIDTH = 1000
const HEIGHT = 640
const BYTES_MAX = 1_000_000
/** The time between two frames, in milliseconds. On a slow machine it is longer, which the film leaves out. */
const FRAME_MS = 250
const FRAME_MS_MAX = 350
const LAST_FRAME_MS = 3_000

/** Writes an animated WebP, and returns its size as text. */
export async function recordFilm(browser, address, path) {
  const page = await browser.newPage({ viewport: { width: WIDTH, height: HEIGHT }, colorScheme: 'light' })
  try {
    await page.goto(address)
    await page.getByRole('heading', { name: 'All is well' }).waitFor()
    const hand = new Hand(page)
    await hand.show()
    // The charts begin with some points.
    await page.waitForTimeout(15_000)
    const frames = await capture(page, () => play(page, hand))
    return await encode(frames, path)
  } finally {
    await page.close()
  }
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

/** The pointer of a mouse, which pictures of the page do not have. */
class Hand {
  #page
  #at = { x: 300, y: 300 }

  constructor(page) {
    this.#page = page
  }

  /** The policy of the page allows to set properties of styles, and no style sheet. */
  async show() {
    await this.#page.evaluate(() => {
      const namespace = 'http://www.w3.org/2000/svg'
      const pointer = document.createElementNS(namespace, 'svg')
      const arrow = document.createElementNS(namespace, 'path')
      arrow.setAttribute('d', 'M1 1v17l4.5-4 3 6.5 3-1.4-3-6.3H15z')
      arrow.setAttribute('fill', '#000')
      arrow.setAttribute('stroke', '#fff')
      arrow.setAttribute('stroke-width', '1.5')
      pointer.append(arrow)
      pointer.id = 'film-pointer'
      Object.assign(pointer.style, {
        position: 'fixed',
        zIndex: '9999',
        width: '20px',
        height: '24px',
        pointerEvents: 'none',
      })
      document.documentElement.append(pointer)
    })
    await this.#move(this.#at)
  }

  async click(locator) {
    await locator.waitFor()
    const box = await locator.boundingBox()
    const target = { x: box.x + Math.min(box.width / 2, 60), y: box.y + box.height / 2 }
    const from = this.#at
    for (const share of [0.35, 0.75, 1]) {
      await this.#move({
        x: from.x + (target.x - from.x) * share,
        y: from.y + (target.y - from.y) * share,
      })
      await this.#page.waitForTimeout(FRAME_MS)
    }
    await locator.click()
    await this.#page.waitForTimeout(FRAME_MS)
  }

  async #move(to) {
    this.#at = to
    await this.#page.evaluate(({ x, y }) => {
      const pointer = document.getElementById('film-pointer')
      pointer.style.left = `${x}px`
      pointer.style.top = `${y}px`
    }, to)
  }
}

/** Takes a picture after another while `play` runs: each with the time at which it was on the screen. */
async function capture(page, play) {
  const frames = []
  let isPlaying = true
  const take = async () => {
    const begun = performance.now()
    while (isPlaying) {
      const from = performance.now()
      frames.push({ png: await page.screenshot(), at: from - begun })
      const left = FRAME_MS - (performance.now() - from)
      if (left > 0) await new Promise((resolve) => setTimeout(resolve, left))
    }
  }
  const played = play().finally(() => {
    isPlaying = false
  })
  await Promise.all([played, take()])
  return frames
}

async function encode(captured, path) {
  const frames = captured.filter(({ png }, at) => !captured[at - 1]?.png.equals(png))
  const delay = frames.map(({ at }, index) => {
    const next = frames[index + 1]
    return next === undefined ? LAST_FRAME_MS : Math.min(Math.round(next.at - at), FRAME_MS_MAX)
  })
  const pictures = frames.map(({ png }) => png)
  await sharp(pictures, { join: { animated: true } })
    .webp({ lossless: true, effort: 4, minSize: true, delay, loop: 0 })
    .toFile(path)
  const { size } = statSync(path)
  const seconds = delay.reduce((sum, ms) => sum + ms, 0) / 1000
  const text = `${Math.ceil(size / 1000)} KB, ${frames.length} frames, ${seconds.toFixed(0)} s`
  if (size > BYTES_MAX) throw new Error(`the film is too large: ${text}`)
  return text
}
