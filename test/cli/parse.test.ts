import { describe, expect, it } from 'vitest';
import { splitList } from '../../src/cli/command.ts';
import { durationText, keepRules, positiveInteger } from '../../src/cli/parse.ts';

describe('splitList', () => {
  it.each([
    ['User,Tenant', ['User', 'Tenant']],
    [' User , Tenant ', ['User', 'Tenant']],
    ['"odd, name"."T",User', ['"odd, name"."T"', 'User']],
    ['"with ""quotes"", too"', ['"with ""quotes"", too"']],
    [',,', []],
    ['', []],
  ])('%j', (text, expected) => expect(splitList(text)).toEqual(expected));
});

describe('keepRules', () => {
  it('reads durations and counts', () => {
    expect(keepRules(['within=30d', 'daily=7', 'proven=3'])).toEqual({ within: '30d', daily: 7, proven: 3 });
  });

  it.each(['daily', 'daily=0', 'daily=-1', 'hourly=3', 'within=soon', 'proven=2.5', '=3', 'daily=7=8'])(
    'refuses %s',
    (text) => expect(() => keepRules([text])).toThrow(/not a/),
  );
});

describe('positiveInteger', () => {
  it.each(['0', '-1', '1.5', 'x', '', '1e3', '99999999999'])('refuses %j', (text) => {
    expect(() => positiveInteger(text)).toThrow('is not a positive whole number');
  });
  it('reads 20', () => expect(positiveInteger('20')).toBe(20));
});

describe('durationText', () => {
  it('keeps the text, checked', () => expect(durationText('1h30m')).toBe('1h30m'));
  it('refuses what is none', () => expect(() => durationText('1 hour')).toThrow('is not a duration'));
});
