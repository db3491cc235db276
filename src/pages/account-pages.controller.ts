import { Controller, Get, Header } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { Public } from '../common/auth/access.decorator.js';
import { AppConfig } from '../config/app-config.js';
import { type AccountPage, accountPage } from './account-page.js';
import { PAGE_SCRIPT } from './page-script.js';
import { PAGE_STYLE } from './page-style.js';

/** Scripts and styles come from this server alone, and so does what they ask. Forms are sent by the script, never by the browser. */
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join(';');

/** The pages that links in mails lead to, for whoever has none of their own. To open one changes nothing. */
@ApiExcludeController()
@Controller('account')
@Public()
export class AccountPagesController {
  private readonly pages: Record<AccountPage, string>;

  constructor({ mail, http }: AppConfig) {
    const basePath = http.publicUrl ? new URL(http.publicUrl).pathname.replace(/\/+$/, '') : '';
    const page = (name: AccountPage) => accountPage(name, { productName: mail.productName, basePath });
    this.pages = { verify: page('verify'), reset: page('reset'), undo: page('undo') };
  }

  @Get('verify')
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Content-Security-Policy', PAGE_POLICY)
  verify(): string {
    return this.pages.verify;
  }

  @Get('reset')
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Content-Security-Policy', PAGE_POLICY)
  reset(): string {
    return this.pages.reset;
  }

  @Get('undo')
  @Header('Content-Type', 'text/html; charset=utf-8')
  @Header('Content-Security-Policy', PAGE_POLICY)
  undo(): string {
    return this.pages.undo;
  }

  @Get('page.css')
  @Header('Content-Type', 'text/css; charset=utf-8')
  style(): string {
    return PAGE_STYLE;
  }

  @Get('page.js')
  @Header('Content-Type', 'text/javascript; charset=utf-8')
  script(): string {
    return PAGE_SCRIPT;
  }
}
