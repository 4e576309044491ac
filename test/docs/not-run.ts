import { type Block, nameOf } from './blocks.ts'

export const handledElsewhere = (block: Block): boolean =>
  block.page.includes('testing-your-service') || nameOf(block) === ''
