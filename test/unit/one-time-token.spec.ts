import { linkTo } from '../../src/auth/mail-flows/one-time-token.js';

describe('a link with a token', () => {
  it.each([
    ['https://app.example.org/reset', 'https://app.example.org/reset?token=T-_1'],
    ['https://app.example.org/reset?lang=en', 'https://app.example.org/reset?lang=en&token=T-_1'],
    ['https://app.example.org/reset#top', 'https://app.example.org/reset?token=T-_1#top'],
    ['https://app.example.org/#/reset', 'https://app.example.org/#/reset?token=T-_1'],
    ['https://app.example.org/#/', 'https://app.example.org/#/?token=T-_1'],
    ['https://app.example.org/#/reset?x=1', 'https://app.example.org/#/reset?x=1&token=T-_1'],
    ['https://app.example.org/?a=b#!/reset?token=old', 'https://app.example.org/?a=b#!/reset?token=T-_1'],
  ])('to %s is %s', (page, link) => {
    expect(linkTo(page, { text: 'T-_1' })).toBe(link);
  });
});
