// Films of pages: what a person does, with the pointer of a mouse, as an animated WebP.

import { statSync } from 'node:fs'
import sharp from 'sharp'

const WIDTH = 1000
const HEIGHT = 640
const BYTES_MAX = 1_000_000
/** The time between two frames, in milliseconds. On a slow machine it is longer, which the film leaves out. */
const FRAME_MS = 250
const FRAME_MS_MAX = 350
const LAST_FRAME_MS = 3_000

/**
 * Records what `play` does, writes it to `path`, and returns the size as text. The film begins when `isReady` resolves.
 */
export async function recordFilm(browser, address, path, { isReady, play, height = HEIGHT }) {
  const page = await browser.newPage({ viewport: { width: WIDTH, height }, colorScheme: 'light' })
  try {
    await page.goto(address)
    await isReady(page)
    const hand = new Hand(page)
    await hand.show()
    const frames = await capture(page, () => play(page, hand))
    return await encode(frames, path)
  } finally {
    await page.close()
  }
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
    .webp({ nearLossless: true, quality: 60, effort: 4, minSize: true, delay, loop: 0 })
    .toFile(path)
  const { size } = statSync(path)
  const seconds = delay.reduce((sum, ms) => sum + ms, 0) / 1000
  const text = `${Math.ceil(size / 1000)} KB, ${frames.length} frames, ${seconds.toFixed(0)} s`
  if (size > BYTES_MAX) throw new Error(`the film is too large: ${text}`)
  return text
}
