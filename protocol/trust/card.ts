import type { PeerId } from '../ids.ts'
import { limits } from '../limits.ts'
import { malformed } from './bytes.ts'
import { format, hex, text, uint, varint } from './codec.ts'
import { isValidKey, type NetworkId, signedFormat } from './signing.ts'

/** What an account may be asked for, as bits. */
export const cardRoles = { client: 1, worker: 2, auditor: 4, witness: 8 } as const

/** Introduces an account to a network: the first entry of its log, and of what is gossiped about it. */
export interface IdentityCard {
  /** The key that connections prove and that signs everything but the log. */
  readonly accountId: PeerId
  /** The key that signs the account's log, 32 bytes in hex. */
  readonly logKey: string
  /** For lotteries that can be checked, 32 bytes in hex; published early, because such a key has to be old. */
  readonly vrfKey: string
  /** Bits of `cardRoles`, 0 to 15. */
  readonly roles: number
  /** When the card was made, in epochs since 1970. */
  readonly createdEpoch: number
  /** 0 to 65,535. A card with a higher number replaces one with a lower; two with the same number are a fault. */
  readonly seq: number
  /**
   * Chosen by its owner, for people; shown beside the id and never instead of it. At most 32 characters and 64 bytes;
   * empty for none. See `checkName`.
   */
  readonly name: string
  /** What was found by the work that a new account costs: a safe integer, at least 0. */
  readonly stampNonce: number
  /** By `accountId`, 64 bytes in hex. */
  readonly signature: string
}

/**
 * Controls, format and bidi characters, private use, surrogates, and others that take no room. The list is written
 * down, because a card decides about bans: asked by class (`\p{Cf}`, `\p{Cn}`), two versions of Unicode, and so of
 * Node, would read one log differently.
 */
const invisible = new RegExp(
  `[${[
    String.raw`\u0000-\u001f\u007f-\u009f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160`,
    String.raw`\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\uf8ff\ufdd0-\ufdef`,
    String.raw`\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\u{110bd}\u{110cd}\u{13430}-\u{1343f}`,
    String.raw`\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{1fffe}\u{1ffff}\u{2fffe}\u{2ffff}\u{3fffe}-\u{10ffff}`,
  ].join('')}]`,
  'gu',
)
const spaces = String.raw`[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]`
const outerSpaces = new RegExp(`^${spaces}+|${spaces}+$`, 'gu')

const charsIn = (name: string): number => Array.from(name).length

/** What makes a name no evidence, if something does. */
function checkReadName(name: string): string | undefined {
  if (charsIn(name) > limits.cardNameCharsMax)
    return `a name is longer than ${limits.cardNameCharsMax} characters`
  if (name.search(invisible) >= 0) return 'a name has characters that cannot be seen'
  if (name.search(outerSpaces) >= 0) return 'a name begins or ends with a space'
  return undefined
}

/**
 * What is wrong with a name that somebody wants to sign, if something is: it must not be able to fool whoever reads
 * it. Only here it has to be in normal form, because which form that is depends on the version of Unicode.
 */
export function checkName(name: string): string | undefined {
  if (Buffer.byteLength(name) > limits.cardNameBytesMax)
    return `a name is longer than ${limits.cardNameBytesMax} bytes`
  return checkReadName(name) ?? (name === name.normalize('NFC') ? undefined : 'a name is not in normal form')
}

/** Makes a name fit that was meant for something else; empty when nothing of it is left. */
export function toName(wanted: string): string {
  let name = ''
  // What cannot be seen goes first: it may stand between two characters that become one.
  for (const character of wanted.replaceAll(invisible, '').normalize('NFC').replaceAll(outerSpaces, '')) {
    const longer = name + character
    if (charsIn(longer) > limits.cardNameCharsMax || Buffer.byteLength(longer) > limits.cardNameBytesMax)
      break
    name = longer
  }
  return name.replaceAll(outerSpaces, '')
}

const signedCard = signedFormat<IdentityCard>(
  'card',
  format(1, {
    accountId: hex(32),
    logKey: hex(32),
    vrfKey: hex(32),
    roles: uint(1, 15),
    createdEpoch: uint(4, limits.epochMax),
    seq: uint(2),
    name: text(limits.cardNameBytesMax, checkReadName),
    stampNonce: varint(),
  }),
)

/** 169 bytes, the name, and 1 to 8 for the stamp: at most 241. */
export const cardFormat: typeof signedCard = {
  ...signedCard,
  sign: (signer, card) => {
    const wrong = checkName(card.name)
    if (wrong !== undefined) throw malformed(wrong)
    return signedCard.sign(signer, card)
  },
}

/** Whether the account itself says so, with keys that everybody judges alike. The stamp is checked apart: it takes long. */
export function isCardValid(card: IdentityCard, networkId: NetworkId): boolean {
  const keys = [card.accountId, card.logKey, card.vrfKey]
  return keys.every(isValidKey) && cardFormat.isSigned(card, card.accountId, networkId)
}
