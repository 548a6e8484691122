import { describe, expect, it } from 'vitest'
import { limits, QMeshError } from '../../../protocol/index.ts'
import { ByteReader, ByteWriter } from '../../../protocol/trust/bytes.ts'
import {
  ackFormat,
  cardFormat,
  decodeEntry,
  encodeEntry,
  headFormat,
  isCardValid,
  offerFormat,
  receiptFormat,
  resultFormat,
  scoreStatementFormat,
} from '../../../protocol/trust/index.ts'
import { isSignedBy, signedFormat } from '../../../protocol/trust/signing.ts'
import { format, hex, text } from '../../../protocol/trust/codec.ts'
import {
  client,
  networkId,
  otherNetworkId,
  sampleAck,
  sampleCard,
  sampleHead,
  sampleOffer,
  sampleReceipt,
  sampleResult,
  sampleStatement,
  signerOf,
  worker,
} from './samples.ts'

const refused = expect.objectContaining({ code: 'QM_EVIDENCE_INVALID' }) as Error

describe('a varint', () => {
  const read = (...bytes: number[]): number => new ByteReader(Uint8Array.from(bytes)).varint()

  it.each([0, 1, 127, 128, 16_383, 16_384, 2 ** 32, Number.MAX_SAFE_INTEGER])('of %i comes back', (value) => {
    const bytes = new ByteWriter().varint(value).toBuffer()
    expect(read(...bytes)).toBe(value)
  })

  it.each([
    ['0 in two bytes', [0x80, 0x00]],
    ['127 in two bytes', [0xff, 0x00]],
    ['1 in eight bytes', [0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]],
    ['one above what is safe', [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]],
    ['nine bytes', [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]],
    ['no end', [0x80]],
    ['nothing', []],
  ])('is refused: %s', (_, bytes) => expect(() => read(...bytes)).toThrow(refused))
})

describe('a field one beyond its bound', () => {
  it.each<[string, () => unknown]>([
    ['maxOut', () => sampleOffer({ maxOut: limits.outputTokensMax + 1 })],
    ['maxPrice', () => sampleOffer({ maxPrice: limits.priceMax + 1 })],
    ['samplingId', () => sampleOffer({ samplingId: 3 })],
    ['seed', () => sampleOffer({ seed: 2 ** 53 })],
    ['a seed that is no whole number', () => sampleOffer({ seed: 0.5 })],
    ['balanceAfter', () => sampleOffer({ balanceAfter: -(2 ** 51) - 1 })],
    ['headLength', () => sampleOffer({ headLength: limits.logLengthMax + 1 })],
    ['epoch', () => sampleOffer({ epoch: limits.epochMax + 1 })],
    ['requestId', () => sampleOffer({ requestId: '01'.repeat(17) })],
    ['an id in upper case', () => sampleOffer({ requestId: 'AB'.repeat(16) })],
    ['effortNonce', () => sampleOffer({ effortNonce: '00'.repeat(9) })],
    ['nIn', () => sampleResult(sampleOffer(), { nIn: limits.contextTokensMax + 1 })],
    ['totalMs', () => sampleResult(sampleOffer(), { totalMs: limits.durationMsMax + 1 })],
    ['price below nothing', () => sampleResult(sampleOffer(), { price: -1 })],
    ['roles', () => sampleCard({ roles: 16 })],
    ['seq', () => sampleCard({ seq: 65_536 })],
    ['a name of 65 bytes', () => sampleCard({ name: '\u5ba2'.repeat(21) + 'ab' })],
    ['four values', () => sampleStatement({ values: [1, 2, 3, 4] })],
    ['six values', () => sampleStatement({ values: [1, 2, 3, 4, 5, 6] })],
    ['length of a log', () => sampleHead({ length: limits.logLengthMax + 1 })],
    ['a signature cut short', () => headFormat.encode({ ...sampleHead(), signature: '00'.repeat(63) })],
    ['a signature that is no hex', () => headFormat.encode({ ...sampleHead(), signature: 'zz'.repeat(64) })],
  ])('cannot be signed or written: %s', (_, make) => expect(make).toThrow(refused))

  it('cannot be read either', () => {
    // The three bytes of maxOut, 32,768 at most, stand behind the version, 16 bytes and four times 32.
    const bytes = offerFormat.encode(sampleOffer({ maxOut: limits.outputTokensMax }))
    const at = 1 + 16 + 4 * 32
    expect([...bytes.subarray(at, at + 3)]).toEqual([0x80, 0x80, 0x02])
    bytes.writeUInt8(0x81, at)
    expect(() => offerFormat.decode(bytes)).toThrow(/32769 is not a whole number from 0 to 32768/)
  })
})

describe('an unknown version', () => {
  const offer = sampleOffer()
  const result = sampleResult(offer)
  const formats = {
    card: [cardFormat.encode(sampleCard()), cardFormat.decode],
    offer: [offerFormat.encode(offer), offerFormat.decode],
    result: [resultFormat.encode(result), resultFormat.decode],
    ack: [ackFormat.encode(sampleAck(offer, result)), ackFormat.decode],
    receipt: [receiptFormat.encode(sampleReceipt()), receiptFormat.decode],
    head: [headFormat.encode(sampleHead()), headFormat.decode],
    statement: [scoreStatementFormat.encode(sampleStatement()), scoreStatementFormat.decode],
  } as const

  it.each(Object.entries(formats))('of a %s is refused, and said', (_, [bytes, decode]) => {
    const own = bytes[0] ?? 0
    for (const version of [0, own - 1, own + 1, 255]) {
      const changed = Buffer.concat([Buffer.from([version]), bytes.subarray(1)])
      expect(() => decode(changed)).toThrow(`it is of version ${version}`)
    }
  })

  it('of an entry is refused, and an unknown kind of entry is not', () => {
    const bytes = encodeEntry({ type: 'card', card: sampleCard() })
    expect(() => decodeEntry(Buffer.concat([Buffer.from([1, 2]), bytes.subarray(2)]))).toThrow(refused)
    expect(decodeEntry(Buffer.from([9, 2, 3]))).toEqual({ type: 'unknown', code: 9 })
    expect(() => decodeEntry(Buffer.alloc(0))).toThrow(refused)
  })

  it('and even an unknown kind of entry has a bound', () => {
    expect(decodeEntry(Buffer.alloc(limits.logEntryBytesMax, 9)).type).toBe('unknown')
    expect(() => decodeEntry(Buffer.alloc(limits.logEntryBytesMax + 1, 9))).toThrow(refused)
  })
})

/** Names that `cardFormat.sign` would not sign, signed all the same by somebody with other software. */
describe('a name that was signed by other software', () => {
  const hostile = signedFormat<ReturnType<typeof sampleCard>>('card', {
    encode: ({ name, ...card }) => {
      const bytes = cardFormat.encode({ ...card, name: '', signature: '00'.repeat(64) }).subarray(0, -64)
      // The empty name's length stands before the stamp of two bytes.
      const before = bytes.subarray(0, bytes.length - 3)
      const written = Buffer.from(name, 'utf8')
      return Buffer.concat([before, Buffer.from([written.length]), written, bytes.subarray(-2)])
    },
    decode: () => sampleCard(),
  })
  const forge = (name: string): Buffer => {
    const { signature: _, ...card } = sampleCard()
    return hostile.encode(hostile.sign(worker, { ...card, name }))
  }

  it('is read when it is fine', () => {
    const card = cardFormat.decode(forge('living room'))
    expect(card).toEqual(sampleCard())
    expect(isCardValid(card, networkId)).toBe(true)
  })

  it.each([
    ['terminal escapes', '\u001b[2Jroot'],
    ['a control of eight bits', 'a\u009b31m'],
    ['a bidi override', 'abc\u202edcba'],
    ['an invisible joint', 'ad\u200bmin'],
    ['a tag', 'a\u{e0041}'],
    ['private use', '\ue000'],
    ['a space in front', ' a'],
    ['a wide space behind', 'a\u3000'],
    ['33 characters', 'a'.repeat(33)],
    ['65 bytes', '\u5ba2'.repeat(21) + 'ab'],
  ])('is refused with %s', (_, name) => expect(() => cardFormat.decode(forge(name))).toThrow(refused))

  it('is refused where it is not UTF-8', () => {
    const bytes = forge('living room')
    bytes.writeUInt8(0xff, bytes.indexOf('living'))
    expect(() => cardFormat.decode(bytes)).toThrow(/not UTF-8/)
  })

  it('is judged alike whatever a version of Unicode knows: unassigned characters and other normal forms are read', () => {
    for (const name of ['\u{323b0}', '\u0378', 'e\u0301']) {
      expect(isCardValid(cardFormat.decode(forge(name)), networkId)).toBe(true)
    }
  })
})

/** One signature, and sixteen places to put it: it fits in the one that it was made for. */
describe('a replay', () => {
  const two = [0, 1] as const
  const places = two.flatMap((account) =>
    two.flatMap((network) =>
      two.flatMap((domain) =>
        two.map((version) => ({
          signer: signerOf(account + 1, [networkId, otherNetworkId][network]),
          domain: (['offer', 'ack'] as const)[domain],
          body: Buffer.from([version + 1, 7]),
        })),
      ),
    ),
  )

  it('into another account, network, domain or version is refused', () => {
    for (const [index, from] of places.entries()) {
      const signature = from.signer.sign(from.domain, from.body)
      const fits = places.map(({ signer, domain, body }) =>
        isSignedBy(signer.id, domain, signer.networkId, body, signature),
      )
      expect(fits.flatMap((isFit, to) => (isFit ? to : []))).toEqual([index])
    }
  })

  const offers = [sampleOffer(), sampleOffer({ workerId: 'aa'.repeat(32) })] as const
  it.each([
    [
      'the offer to another worker',
      (): boolean =>
        offerFormat.isSigned({ ...offers[1], signature: offers[0].signature }, client.id, networkId),
    ],
    [
      'the offer of another client',
      (): boolean => offerFormat.isSigned({ ...offers[0], clientId: worker.id }, worker.id, networkId),
    ],
    [
      'the offer in another network',
      (): boolean => offerFormat.isSigned(offers[0], client.id, otherNetworkId),
    ],
    [
      'the result for another offer',
      (): boolean =>
        resultFormat.isSigned(
          { ...sampleResult(offers[0]), offerHash: offerFormat.toHash(offers[1], networkId) },
          worker.id,
          networkId,
        ),
    ],
  ])('%s is refused', (_, isAccepted) => expect(isAccepted()).toBe(false))
})

describe('a format', () => {
  it('refuses everything in the same way', () => {
    const small = format(1, { id: hex(2), note: text(4, () => undefined) })
    expect(small.decode(Buffer.from([1, 0xab, 0xcd, 1, 0x61]))).toEqual({ id: 'abcd', note: 'a' })
    for (const bytes of [
      [],
      [1],
      [1, 1, 2],
      [1, 1, 2, 5],
      [1, 1, 2, 1],
      [1, 1, 2, 0, 0],
      [1, 1, 2, 1, 0x80],
    ]) {
      expect(() => small.decode(Uint8Array.from(bytes))).toThrow(QMeshError)
    }
  })
})
